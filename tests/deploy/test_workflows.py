"""The workflows say what they should, as far as it can be seen without running them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.processes import ran

ROOT = Path(__file__).resolve().parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
NAMES = [path.name for path in WORKFLOWS]
PROGRAMS = Path(sys.executable).parent
"""Where the tools of the development group lie."""

USES = re.compile(r"^\s*(?:- )?uses: (?P<action>\S+)(?P<comment>.*)$", re.MULTILINE)
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
VERSION = re.compile(r" # v\d+\.\d+\.\d+")
MAKE = re.compile(r"\bmake (?P<target>[a-z.][\w./-]*)")
TOOL = re.compile(r"(?<![\w/.-])tools/(?P<name>[a-z-]+)(?= |$|\")", re.MULTILINE)


def read(name: str) -> dict[str, Any]:
    loaded = yaml.safe_load((GITHUB / "workflows" / name).read_text())
    assert isinstance(loaded, dict)
    return loaded


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for name in NAMES:
        for job, body in read(name)["jobs"].items():
            yield f"{name}: {job}", body


def commands() -> Iterator[tuple[str, str]]:
    for where, job in jobs():
        for step in job.get("steps", []):
            if "run" in step:
                yield where, step["run"]


def checked_by(*command: str) -> str:
    done = ran(PROGRAMS / command[0], *command[1:], cwd=ROOT)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_zizmor_finds_nothing() -> None:
    assert (
        checked_by("zizmor", "--quiet", "--offline", "--persona=pedantic", "--strict-collection", ".github") == ""
    )


def test_every_workflow_has_the_shape_of_one() -> None:
    files = [str(path.relative_to(ROOT)) for path in WORKFLOWS]
    assert checked_by("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *files) == ""


def test_dependabots_file_has_its_shape() -> None:
    assert checked_by("check-jsonschema", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml") == ""


@pytest.mark.parametrize("name", NAMES)
def test_every_action_is_pinned_by_commit_and_says_its_version(name: str) -> None:
    text = (GITHUB / "workflows" / name).read_text()
    found = [(match["action"], match["comment"]) for match in USES.finditer(text)]
    assert text.count("uses:") == len(found), "a `uses:` is written in a way that this test does not read"
    for action, comment in found:
        if action.startswith("./"):
            assert (ROOT / action).is_file()
        else:
            assert PINNED.fullmatch(action), f"{action} is not pinned by its commit"
            assert VERSION.fullmatch(comment), f"{action} does not say which version that is"


def test_one_action_has_one_version_everywhere() -> None:
    seen: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for match in USES.finditer(path.read_text()):
            action, _, rest = match["action"].partition("@")
            seen.setdefault(action, set()).add(rest + match["comment"])
    assert {action: versions for action, versions in seen.items() if len(versions) > 1} == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_begins_without_rights_and_runs_once_at_a_time(name: str) -> None:
    workflow = read(name)
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["group"]


def test_every_job_says_its_rights_and_has_an_end() -> None:
    for where, job in jobs():
        assert "permissions" in job, f"{where} takes its rights from elsewhere"
        if "uses" not in job:
            assert 0 < job["timeout-minutes"] <= 300, where


def test_no_checkout_leaves_its_token_behind() -> None:
    checkouts = [
        (where, step)
        for where, job in jobs()
        for step in job.get("steps", [])
        if step.get("uses", "").startswith("actions/checkout@")
    ]
    assert checkouts
    assert [
        where for where, step in checkouts if step.get("with", {}).get("persist-credentials") is not False
    ] == []


def test_only_what_publishes_may_write() -> None:
    writing = {
        where: sorted(right for right, level in job["permissions"].items() if level == "write")
        for where, job in jobs()
        if "write" in job["permissions"].values()
    }
    signing = ["attestations", "id-token"]
    pushing = ["attestations", "id-token", "packages"]
    assert writing == {
        "chart.yml: push": pushing,
        "dependencies.yml: propose": ["contents", "pull-requests"],
        "dist.yml: build": signing,
        "edge.yml: image": pushing,
        "image.yml: build": ["packages"],
        "image.yml: sign": pushing,
        "release.yml: chart": pushing,
        "release.yml: dist": signing,
        "release.yml: image": pushing,
        "release.yml: page": ["contents"],
        "release.yml: pypi": ["id-token"],
        "scorecard.yml: score": ["id-token"],
    }


def test_nothing_is_published_before_all_tests_have_passed() -> None:
    for name in ("edge.yml", "release.yml"):
        needs = {job: set(body.get("needs", [])) for job, body in read(name)["jobs"].items()}
        for job in needs.keys() - {"plan", "ci"}:
            before, new = set(needs[job]), set(needs[job])
            while new:
                new = set().union(*(needs[each] for each in new)) - before
                before |= new
            assert "ci" in before, f"{name}: {job} does not wait for the tests"


def test_the_one_check_waits_for_every_job_of_ci() -> None:
    every = read("ci.yml")["jobs"]
    assert set(every["all"]["needs"]) == every.keys() - {"all"}


def test_the_parts_of_the_night_are_all_of_chaos_and_none_of_it_twice() -> None:
    parts = [
        each["tests"].split() for each in read("nightly.yml")["jobs"]["chaos"]["strategy"]["matrix"]["include"]
    ]

    def runs(part: list[str], file: Path) -> bool:
        ignored = [ROOT / word.removeprefix("--ignore=") for word in part if word.startswith("--ignore=")]
        named = [ROOT / word for word in part if not word.startswith("-")]
        return any(map(file.is_relative_to, named)) and not any(map(file.is_relative_to, ignored))

    files = sorted((ROOT / "tests").rglob("test_*.py"))
    assert {file: count for file in files if (count := sum(runs(part, file) for part in parts)) != 1} == {}


def test_every_target_of_make_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("$(BIN)", ".venv/bin").replace("$(READY)", ".venv/.ready")
    targets = set(re.findall(r"^([\w./-]+):(?!=)", makefile, re.MULTILINE))
    named = {match["target"] for _, run in commands() for match in MAKE.finditer(run)}
    assert {"check", "test", "chaos", "bench", "lock", "setup"} <= named
    assert named <= targets


def test_every_tool_that_is_named_exists_and_can_be_run() -> None:
    named = {match["name"] for _, run in commands() for match in TOOL.finditer(run)} - {"helm"}
    assert {"audit", "build-dist", "changed-schema", "release-notes", "smoke-image"} <= named
    assert [name for name in sorted(named) if not (ROOT / "tools" / name).stat().st_mode & 0o100] == []


def test_every_supported_python_is_tested_from_the_oldest_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    tested = read("ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert f">={tested[0]}" == project["requires-python"]
    assert tested == [f"3.{minor}" for minor in range(11, 11 + len(tested))]
    prefix = "Programming Language :: Python :: 3."
    declared = [each.rpartition(" ")[2] for each in project.get("classifiers", []) if each.startswith(prefix)]
    assert declared in ([], tested)
    assert f"Python {tested[0]} to {tested[-1]} " in (ROOT / "docs/releasing.md").read_text()


def test_every_update_waits_at_least_a_week() -> None:
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]
    assert {each["package-ecosystem"] for each in updates} >= {"github-actions", "docker", "pip"}
    assert [each["package-ecosystem"] for each in updates if each["cooldown"]["default-days"] < 7] == []
    for each in updates:
        assert (ROOT / each["directory"].lstrip("/")).is_dir()
    (lock,) = [
        step["env"] for step in read("dependencies.yml")["jobs"]["lock"]["steps"] if step.get("run") == "make lock"
    ]
    assert lock == {"UV_EXCLUDE_NEWER": "7 days"}


def release_notes(*args: str, tree: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(tree / "tools/release-notes"), *args]
    return ran(*command)


def test_the_changelog_has_notes_for_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    done = release_notes("--preview", f"v{version}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "\n## " not in done.stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project of two releases and one to come."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools/release-notes", tmp_path / "tools")
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.1.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [1.2.0] - unreleased\n\nLater.\n\n"
        "## [1.1.0] - 2026-11-22\n\nSee [there](docs/x.md#y), [here](https://example.org).\n\n"
        "## [1.0.0] - 2026-01-01\n\nFirst.\n"
    )
    return tmp_path


def test_the_notes_are_one_entry_whose_links_lead_to_the_release(tree: Path) -> None:
    there = "https://github.com/cryptowatcher/cryptowatcher/blob/v1.1.0/docs/x.md#y"
    assert release_notes("v1.1.0", tree=tree).stdout == f"See [there]({there}), [here](https://example.org).\n"


@pytest.mark.parametrize(("version", "reason"), [("v1.2.0", "1.1.0"), ("v1.0.0", "1.1.0"), ("v3.0.0", "no entry")])
def test_a_tag_that_nothing_was_prepared_for_is_refused(tree: Path, version: str, reason: str) -> None:
    done = release_notes(version, tree=tree)
    assert done.returncode == 1
    assert reason in done.stderr
    assert done.stdout == ""


def test_a_release_without_a_date_is_refused(tree: Path) -> None:
    (tree / "pyproject.toml").write_text('[project]\nversion = "1.2.0"\n')
    done = release_notes("v1.2.0", tree=tree)
    assert done.returncode == 1
    assert "unreleased" in done.stderr
    assert release_notes("--preview", "v1.2.0", tree=tree).stdout == "Later.\n"


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs the package git")


A_PAGE = """#!/bin/sh
built=$(dirname "$0")/../src/cryptowatcher/web/built
mkdir "$built" && echo page > "$built/index.html"
"""
"""Instead of the real build, which asks a registry."""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with one commit of what the tools need, beside the real .venv."""
    for each in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / each, tmp_path)
    for each in ("src", "tools"):
        shutil.copytree(ROOT / each, tmp_path / each, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    (tmp_path / "tools/build-page").write_text(A_PAGE)
    (tmp_path / ".venv").symlink_to(PROGRAMS.parent)
    (tmp_path / ".git/info").mkdir(parents=True)
    (tmp_path / ".git/info/exclude").write_text(".venv\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "One")
    return tmp_path


def git(folder: Path, *args: str) -> None:
    someone = ("-c", "user.name=Someone", "-c", "user.email=someone@example.org", "-c", "commit.gpgsign=false")
    done = ran("git", *someone, *args, cwd=folder)
    assert done.returncode == 0, done.stderr


@needs_git
def test_two_builds_of_a_commit_are_the_same_bytes(clone: Path) -> None:
    done = ran(clone / "tools/build-dist")
    assert done.returncode == 0, done.stderr
    assert sorted(path.suffix for path in (clone / "dist").iterdir()) == [".gz", ".whl"]
    with zipfile.ZipFile(next((clone / "dist").glob("*.whl"))) as wheel:
        assert "cryptowatcher/web/built/index.html" in wheel.namelist()


@needs_git
def test_a_build_that_depends_on_its_place_is_refused(clone: Path) -> None:
    with (clone / "pyproject.toml").open("a") as file:
        file.write('\n[tool.hatch.build.hooks.custom]\npath = "place.py"\n')
    (clone / "place.py").write_text(
        "import pathlib\n"
        "from hatchling.builders.hooks.plugin.interface import BuildHookInterface\n"
        "class Place(BuildHookInterface):\n"
        "    def initialize(self, version, data):\n"
        "        pathlib.Path(self.root, 'src/cryptowatcher/place.txt').write_text(self.root)\n"
    )
    git(clone, "add", ".")
    git(clone, "commit", "--quiet", "--message", "Two")
    done = ran(clone / "tools/build-dist")
    assert done.returncode == 1
    assert "differ" in done.stderr
    assert not (clone / "dist").exists()


@needs_git
def test_before_the_first_release_there_is_no_schema_to_keep(clone: Path) -> None:
    done = ran(clone / "tools/changed-schema")
    assert done.returncode == 0, done.stderr
    assert "no release before this commit" in done.stdout


@needs_git
def test_a_checkout_without_history_is_not_taken_for_one_without_releases(clone: Path, tmp_path: Path) -> None:
    git(clone, "tag", "v0.0.1")
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "Two")
    shallow = tmp_path / "shallow"
    git(clone, "clone", "--quiet", "--depth", "1", clone.as_uri(), str(shallow))
    done = ran(shallow / "tools/changed-schema")
    assert done.returncode == 1
    assert "shallow" in done.stderr
