"""Image, compose, systemd and Quadlet say the same, name nothing that moves, and pass the checkers there are."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from cryptowatcher.config import load
from tests.deploy.containers import (
    BACKUP,
    BACKUPS,
    COMPOSE,
    DEPLOY,
    DOCKERFILE,
    PORT,
    QUADLET,
    SERVICE,
    SERVICES,
    SOCKET,
    TIMER,
    USER,
    WATCHER,
    instructions,
    seconds,
    unit,
)
from tests.house.source import ROOT
from tests.processes import ran

BIN = Path(sys.executable).parent
DIGEST = re.compile(r"^[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}$")
DRAIN_SECONDS = 25
"""What a stop may take by its own bound; everybody who stops the program must wait longer."""


# --- the image


def test_hadolint_has_nothing_to_say_of_the_dockerfile() -> None:
    done = ran(BIN / "hadolint", DOCKERFILE)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_only_image_built_upon_is_pinned_by_digest_and_read_by_bots() -> None:
    first, *others = instructions("FROM")
    image, _, stage = first.partition(" AS ")
    assert DIGEST.match(image), "a literal FROM line: Dependabot does not follow ARG"
    assert [line.partition(" AS ")[0] for line in others] == [stage] * len(others)


def test_the_image_runs_without_rights_and_is_asked_without_a_shell() -> None:
    assert instructions("USER") == [f"{USER}:{USER}"]
    assert instructions("EXPOSE") == [str(PORT)]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    assert json.loads(instructions("ENTRYPOINT")[0]) == ["cryptowatcher"]
    assert json.loads(instructions("CMD")[0]) == ["run"]
    (check,) = instructions("HEALTHCHECK")
    assert json.loads(check.partition(" CMD ")[2]) == ["cryptowatcher", "health"]


def test_what_the_image_sets_is_a_configuration_that_listens_everywhere_and_writes_to_its_volumes() -> None:
    environ = dict(re.findall(r"(CRYPTOWATCHER_\w+)=(\S+)", " ".join(instructions("ENV"))))
    config = load(None, environ)
    assert (config.web.host, config.web.port) == ("0.0.0.0", PORT)
    volumes = json.loads(instructions("VOLUME")[0])
    assert volumes == [str(config.data_dir), BACKUPS]
    (made,) = re.findall(rf"install -d -o {USER} -g {USER} -m 0700 (\S+ \S+)", " ".join(instructions("RUN")))
    assert made.split() == volumes, "a new volume takes owner and rights from here"


def test_dependencies_come_as_wheels_with_hashes_and_nothing_else_is_fetched() -> None:
    installs = [
        part for run in instructions("RUN") for part in run.split(" && ") if "pip" in part and "install " in part
    ]
    assert len([part for part in installs if "requirements/" in part]) == 2
    for part in installs:
        if "requirements/" in part:
            assert {"--require-hashes", "--only-binary"} <= set(part.split())
        elif "dist/" in part:
            assert {"--no-deps", "--no-index"} <= set(part.split())


def test_the_build_sees_the_sources_and_nothing_that_lies_about() -> None:
    first, *rest = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert first == "*"
    let_in = {line[1:] for line in rest if line[0] == "!"}
    copied = {source for copy in instructions("COPY") if "--from" not in copy for source in copy.split()[:-1]}
    assert let_in == copied
    assert all((ROOT / path).exists() for path in let_in)


def context(into: Path) -> Path:
    """What the image's build sees, copied."""
    for copy in instructions("COPY"):
        if "--from" in copy or "requirements/" in copy:
            continue
        for name in copy.split()[:-1]:
            source = ROOT / name
            if source.is_dir():
                passed_over = shutil.ignore_patterns("__pycache__", "*.pyc", "node_modules", "built")
                shutil.copytree(source, into / name, ignore=passed_over)
            else:
                (into / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, into / name)
    return into


def wheel(of: Path, into: Path, **environ: str) -> tuple[str, bytes]:
    """Name and bytes of the wheel, built as the image builds it."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)]
    done = ran(*command, cwd=of, env=environ)
    assert done.returncode == 0, done.stderr
    (built,) = into.glob("*.whl")
    return built.name, built.read_bytes()


def test_the_wheel_in_the_image_is_byte_for_byte_the_one_anybody_builds(tmp_path: Path) -> None:
    """Another folder, another time zone, files of another time, with and without the time that the image names."""
    (epoch,) = re.findall(r"SOURCE_DATE_EPOCH=(\d+)", " ".join(instructions("ARG")))
    here = context(tmp_path / "here")
    there = context(tmp_path / "some/where/else")
    for path in there.rglob("*"):
        os.utime(path, (1, 1))
    environ = {"TZ": "Pacific/Kiritimati", "SOURCE_DATE_EPOCH": epoch}
    assert wheel(here, tmp_path / "one") == wheel(there, tmp_path / "two", **environ)


# --- compose


def test_the_compose_file_fits_the_compose_specification() -> None:
    command = [
        str(BIN / "check-jsonschema"),
        "--builtin-schema",
        "vendor.compose-spec",
        str(DEPLOY / "compose.yaml"),
    ]
    done = ran(*command)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_can_write_gain_rights_or_fill_the_machine(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not str(service["user"]).startswith(("0", "root"))
    assert {"mem_limit", "pids_limit", "tmpfs", "healthcheck"} <= set(service)
    assert service["restart"] == "unless-stopped"
    assert service["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_to_this_machine_only(name: str) -> None:
    assert [port for port in SERVICES[name]["ports"] if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", SERVICES)
def test_no_health_check_needs_a_shell(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", SERVICES)
def test_every_file_that_is_mounted_is_there_and_cannot_be_written(name: str) -> None:
    for volume in SERVICES[name]["volumes"]:
        if isinstance(volume, dict):
            assert volume["read_only"]
            assert volume["bind"]["create_host_path"], "a folder that people make themselves"
        elif volume.startswith("."):
            source, _, mode = volume.split(":")
            assert (DEPLOY / source).exists(), f"{volume} leads nowhere"
            assert mode == "ro"
        else:
            assert volume.split(":")[0] in COMPOSE["volumes"]


def test_images_of_others_are_pinned_by_digest() -> None:
    others = {name: service["image"] for name, service in SERVICES.items() if name != "cryptowatcher"}
    assert [image for image in others.values() if not DIGEST.match(image)] == []


def test_nothing_follows_a_tag_that_says_nothing() -> None:
    for file in (DOCKERFILE, DEPLOY / "compose.yaml", QUADLET):
        assert ":latest" not in file.read_text()


def test_prometheus_finds_the_watcher_and_is_let_in() -> None:
    scrapes = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    targets = [each for scrape in scrapes for config in scrape["static_configs"] for each in config["targets"]]
    assert f"cryptowatcher:{PORT}" in targets
    variable = WATCHER["environment"]["CRYPTOWATCHER_WEB__HOSTS"]
    default = variable.partition(":-")[2].removesuffix("}")
    assert "cryptowatcher" in load(None, {"CRYPTOWATCHER_WEB__HOSTS": default}).web.hosts


def test_what_compose_itself_reads_is_not_taken_for_a_setting() -> None:
    """In compose.env, where it may end up, it would stop the watcher, which refuses settings it does not know."""
    read = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    assert len(read) == 5
    assert [name for name in read if not name.startswith("WATCHER_")] == []
    page = (ROOT / "docs/deploy.md").read_text()
    assert [name for name in read if name not in page] == []


def test_what_the_mounted_files_name_is_mounted_too() -> None:
    targets = {
        volume["target"] if isinstance(volume, dict) else volume.split(":")[1]
        for name in ("prometheus", "alertmanager", "grafana")
        for volume in SERVICES[name]["volumes"]
    }
    prometheus = (DEPLOY / "prometheus/prometheus.yml").read_text()
    alertmanager = (DEPLOY / "alertmanager/alertmanager.yml").read_text()
    providers = "".join(path.read_text() for path in (DEPLOY / "grafana/provisioning/dashboards").glob("*.yml"))
    named = [
        *re.findall(r"- (/[\w/]+)/\*\.yml", prometheus),
        *re.findall(r"url_file: (/[\w/]+)/", alertmanager),
        *re.findall(r"path: (/\S+)", providers),
    ]
    assert len(set(named)) == 3
    assert set(named) <= targets


def test_the_example_of_variables_is_a_configuration() -> None:
    lines = [line.lstrip("#") for line in (DEPLOY / "compose.env.example").read_text().splitlines()]
    environ = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_0-9]+=", line))
    assert load(None, environ).log.level == "warning"


# --- all of them


def test_everybody_runs_it_as_the_same_user_on_the_same_port() -> None:
    container = unit(QUADLET)["Container"]
    assert WATCHER["user"] == f"{USER}:{USER}"
    assert (container["User"], container["Group"]) == ([str(USER)], [str(USER)])
    assert [port.rpartition(":")[2] for port in WATCHER["ports"]] == [str(PORT)]
    assert unit(SOCKET)["Socket"]["ListenStream"] == [f"127.0.0.1:{PORT}"]


def test_everybody_waits_longer_for_the_end_than_the_program_takes() -> None:
    quadlet = unit(QUADLET)
    (stop,) = re.findall(r"--stop-timeout=(\d+)", " ".join(quadlet["Container"]["PodmanArgs"]))
    podman, systemd = int(stop), seconds(quadlet["Service"]["TimeoutStopSec"][0])
    assert DRAIN_SECONDS < podman < systemd
    assert seconds(unit(SERVICE)["Service"]["TimeoutStopSec"][0]) > DRAIN_SECONDS
    assert all(seconds(service["stop_grace_period"]) > DRAIN_SECONDS for service in SERVICES.values())


def test_everybody_has_a_place_for_backups_beside_the_data() -> None:
    """The rest of a container cannot be written, and a place in the data folder is refused."""
    named = {"cryptowatcher-data:/data", f"cryptowatcher-backups:{BACKUPS}"}
    assert named <= {each for each in WATCHER["volumes"] if isinstance(each, str)}
    assert named <= set(unit(QUADLET)["Container"]["Volume"])
    page = (ROOT / "docs/backup.md").read_text()
    assert page.count(f"backup {BACKUPS} --keep 7") >= 2


def test_image_and_compose_ask_for_health_in_the_same_manner() -> None:
    assert WATCHER["healthcheck"]["test"][1:] == ["cryptowatcher", "health"]
    (flags,) = instructions("HEALTHCHECK")
    for flag in ("interval", "timeout"):
        assert re.findall(rf"--{flag}=(\S+)", flags) == [WATCHER["healthcheck"][flag]]


def test_the_quadlet_container_is_not_asked_for_health_inside_where_its_port_is_not() -> None:
    """systemd opened the port in the host's network; asked over the container's own loopback nobody answers."""
    said = unit(QUADLET)
    assert said["Service"]["Sockets"] == ["cryptowatcher.socket"]
    assert "Network" not in said["Container"]
    assert [value for key, value in said["Container"].items() if key.startswith("Health")] == [["none"]]


def test_a_backup_beside_the_service_is_taken_by_its_user_of_its_data_with_its_settings() -> None:
    service, backup = unit(SERVICE)["Service"], unit(BACKUP)["Service"]
    for key in (
        "User",
        "DynamicUser",
        "ConfigurationDirectory",
        "WorkingDirectory",
        "EnvironmentFile",
        "Environment",
    ):
        assert backup[key] == service[key]
    data, place = backup["StateDirectory"][0].split()
    assert service["StateDirectory"] == [data]
    assert backup["ExecStart"][0].split()[0] == service["ExecStart"][0].split()[0]
    assert backup["ExecStart"][0].split()[3:] == ["backup", f"/var/lib/{place}", "--keep", "7"]
    assert TIMER.stem == BACKUP.stem
    assert unit(TIMER)["Install"]["WantedBy"] == ["timers.target"]


@pytest.mark.parametrize("file", [SERVICE, QUADLET], ids=["service", "quadlet"])
def test_units_take_the_open_port_start_again_for_ever_and_stop_at_a_wrong_configuration(file: Path) -> None:
    said = unit(file)
    assert said["Unit"]["Requires"] == said["Service"]["Sockets"] == ["cryptowatcher.socket"]
    assert said["Service"]["Restart"] == ["always"]
    assert said["Service"]["RestartPreventExitStatus"] == ["2"]
    assert said["Unit"]["StartLimitIntervalSec"] == ["0"]


def test_the_quadlet_container_has_no_rights_and_updates_only_to_what_says_that_it_is_ready() -> None:
    container = unit(QUADLET)["Container"]
    assert container["ReadOnly"] == container["NoNewPrivileges"] == container["Notify"] == ["true"]
    assert container["DropCapability"] == ["all"]
    assert container["AutoUpdate"] == ["registry"]


@pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze of the package systemd is not here"
)
def test_systemd_understands_every_word_of_the_units() -> None:
    done = ran("systemd-analyze", "verify", SERVICE, SOCKET, BACKUP, TIMER)
    said = [line for line in done.stderr.splitlines() if "cryptowatcher" in line]
    assert [
        line for line in said if not line.endswith("python is not executable: No such file or directory")
    ] == []


@pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze of the package systemd is not here"
)
@pytest.mark.parametrize("file", [SERVICE, BACKUP], ids=["service", "backup"])
def test_systemd_finds_the_services_well_locked_up(file: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=15", str(file)]
    done = ran(*command)
    assert done.returncode == 0, done.stdout[-200:]
