{{/*
The name of everything. At most 52 characters: Kubernetes appends an 11 character hash to a StatefulSet's name and
puts that into a label, which holds 63. It must also do as the name of a Service: no dots, a letter in front.
*/}}
{{- define "cryptowatcher.fullname" -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name -}}
{{- $name = ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) -}}
{{- end -}}
{{- $name = $name | trunc 52 | trimSuffix "-" -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- fail (printf "%q cannot be the name of a Service: set fullnameOverride to small letters, digits and -, a letter first" $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/*
What never changes over upgrades: Kubernetes refuses a StatefulSet whose selector or volume claim template changed.
Every selector adds the component, so that the pod of `helm test` is not taken for the watcher.
*/}}
{{- define "cryptowatcher.selectorLabels" -}}
app.kubernetes.io/name: cryptowatcher
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "cryptowatcher.watcherLabels" -}}
{{ include "cryptowatcher.selectorLabels" . }}
app.kubernetes.io/component: watcher
{{- end -}}

{{/* On everything beside the selector labels; of these the values may change. */}}
{{- define "cryptowatcher.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "cryptowatcher.labels" -}}
{{ include "cryptowatcher.watcherLabels" . }}
{{ include "cryptowatcher.commonLabels" . }}
{{- end -}}

{{/* A digest names exactly one image, so it goes before the tag. */}}
{{- define "cryptowatcher.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/*
Names under which the page may be asked for. The program answers to addresses, localhost and these alone, so that
no foreign name can be pointed at it.
*/}}
{{- define "cryptowatcher.hosts" -}}
{{- $name := include "cryptowatcher.fullname" . -}}
{{- $inside := printf "%s.%s" $name .Release.Namespace -}}
{{- $names := list $name $inside (printf "%s.svc" $inside) (printf "%s.svc.%s" $inside .Values.clusterDomain) -}}
{{- if .Values.ingress.enabled -}}
{{- $names = concat $names .Values.ingress.hosts -}}
{{- end -}}
{{- concat $names .Values.web.hosts | uniq | toJson -}}
{{- end -}}

{{/* The same for the watcher and for the check before an upgrade, or the check would not say much. */}}
{{- define "cryptowatcher.environment" -}}
env:
  - name: CRYPTOWATCHER_CONFIG
    value: /etc/cryptowatcher/cryptowatcher.toml
  - name: CRYPTOWATCHER_DATA_DIR
    value: /data
  - name: CRYPTOWATCHER_WEB__HOST
    value: {{ .Values.web.host | quote }}
  - name: CRYPTOWATCHER_WEB__PORT
    value: "8000"
  - name: CRYPTOWATCHER_WEB__HOSTS
    value: {{ include "cryptowatcher.hosts" . | quote }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.secret }}
envFrom:
  - secretRef:
      name: {{ . }}
{{- end }}
{{- end -}}

{{- define "cryptowatcher.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "cryptowatcher.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Where pods may run; empty by default. */}}
{{- define "cryptowatcher.placement" -}}
{{- $wanted := dict -}}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "priorityClassName" -}}
{{- with index $.Values $key -}}
{{- $_ := set $wanted $key . -}}
{{- end -}}
{{- end -}}
{{- with $wanted -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{/* Mistakes that would be noticed only when somebody misses the page. */}}
{{- define "cryptowatcher.checks" -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts is empty: name at least one host under which the page is to be reached" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.allowFrom) -}}
{{- if .Values.ingress.enabled -}}
{{- fail "networkPolicy.allowFrom is empty, so the ingress controller could not reach the page: name its namespace there, or set networkPolicy.enabled=false" -}}
{{- end -}}
{{- if .Values.podMonitor.enabled -}}
{{- fail "networkPolicy.allowFrom is empty, so Prometheus could not reach /metrics: name its namespace there, or set networkPolicy.enabled=false" -}}
{{- end -}}
{{- end -}}
{{- end -}}
