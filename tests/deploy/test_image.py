"""The image, built and run as it should be run: only among the long runs, and where an engine for it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.deploy.containers import BACKUPS, DOCKERFILE, USER, instructions
from tests.house.source import ROOT

BASE = "docker.io/library/python:3.13-slim-bookworm"
"""Must be here already, without its digest; whoever cannot pull it may give another image this name."""

ENGINE = ("buildah", "podman", "runc")
HARDENED = (
    "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--memory=1g",
)  # fmt: skip


def podman(*args: str) -> str:
    """What it said; its own complaints about the machine go elsewhere."""
    done = subprocess.run(["podman", *args], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"podman {args}: {done.stderr}"
    return done.stdout.strip()


def has_base() -> bool:
    return all(map(shutil.which, ENGINE)) and not subprocess.run(["podman", "image", "exists", BASE]).returncode


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """Built from the Dockerfile as it is. IMAGE_BUILD_FLAGS: what building takes on this machine."""
    if not has_base():
        pytest.skip(f"podman, buildah and runc (Debian packages) and an image {BASE} are not all here")
    name = f"localhost/cryptowatcher-test:{os.getpid()}"
    pinned = instructions("FROM")[0].partition(" AS ")[0]
    flags = [
        "--isolation=chroot",
        "--pull-never",
        "--format=docker",
        "--build-context",
        f"{pinned}=docker-image://{BASE}",
    ]
    command = ["buildah", "build", *flags, *os.environ.get("IMAGE_BUILD_FLAGS", "").split()]
    done = subprocess.run(
        [*command, "-f", DOCKERFILE, "-t", name, ROOT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    yield name
    podman("rmi", "--force", name)


@pytest.fixture
def market(image: str) -> Iterator[str]:
    """A container with a simulated CoinGecko, and a network that has nothing else in it."""
    container = podman("run", "-d", "--network=none", *HARDENED, image, "fake-coingecko", "--port=8099")
    yield container
    podman("rm", "--force", "--time=0", container)


@pytest.mark.chaos
def test_the_image_watches_without_rights_is_healthy_keeps_its_data_backs_it_up_and_stops_when_told(
    image: str, market: str
) -> None:
    name = f"cryptowatcher-test-{os.getpid()}"
    settings = [
        "-e=CRYPTOWATCHER_SOURCES__0__BASE_URL=http://127.0.0.1:8099/api/v3",
        "-e=CRYPTOWATCHER_SOURCES__0__EVERY=2s",
    ]
    volumes = [f"--volume={name}:/data", f"--volume={name}-backups:{BACKUPS}"]
    start = ["run", "-d", f"--name={name}", f"--network=container:{market}", *volumes, *HARDENED]
    try:
        for life in (1, 2):
            podman(*start, *settings, image)
            until_healthy(name)
            assert podman("exec", name, "id", "-u") == str(USER)
            prices = podman("exec", name, "cryptowatcher", "prices", "--json")
            assert "bitcoin/usd" in prices, f"life {life}"
            with pytest.raises(AssertionError, match="Read-only file system"):
                podman("exec", name, "touch", "/app/new")
            with pytest.raises(AssertionError, match="No module named pip"):
                podman("exec", name, "python", "-m", "pip")
            backup = podman("exec", name, "cryptowatcher", "backup", BACKUPS, "--keep=1")
            podman("stop", "--time=40", name)
            assert podman("inspect", name, "--format={{.State.ExitCode}}") == "0"
            podman("rm", name)
        restored = podman("run", "--rm", "--network=none", *volumes, *HARDENED, image, "restore", backup, "--yes")
        assert restored == f"restored {backup} to /data"
    finally:
        podman("rm", "--force", "--ignore", "--time=0", name)
        podman("volume", "rm", "--force", name, f"{name}-backups")


def until_healthy(name: str) -> None:
    """By the image's own health check, as podman runs it."""
    for _ in range(240):
        asked = subprocess.run(["podman", "healthcheck", "run", name], capture_output=True, check=False)
        if asked.returncode == 0:
            return
        time.sleep(0.5)
    pytest.fail(f"never healthy: {podman('logs', name)}")
