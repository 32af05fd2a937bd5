"""`cryptowatcher health` says what a container or a person must know: does it watch, and if not, why."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from typer.testing import Result

from cryptowatcher.cli.health import Check as Seen
from cryptowatcher.cli.health import configured_page
from cryptowatcher.config import load
from cryptowatcher.web.health import Check, Health
from tests.cli.terminal import Terminal

FINE = Check(name="store", ok=True, detail="readable")
BEHIND = Check(name="watch", ok=False, detail="99 records behind", value=99.0, limit=10.0, unit="seconds")
BLIND = Check(name="source:coingecko", ok=False, detail="blind: banned")


class Asked(ThreadingHTTPServer):
    """Answers every path with one status and body, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = status
        self.body = body
        self.paths: list[str] = []
        self.hosts: list[str] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Handler(BaseHTTPRequestHandler):
    server: Asked

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        self.server.hosts.append(self.headers["Host"])
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *args: object) -> None:
        """A test prints nothing."""


@contextmanager
def answering(status: int, said: object) -> Iterator[Asked]:
    body = said if isinstance(said, bytes) else msgspec.json.encode(said)
    with Asked(status, body) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield server
        finally:
            server.shutdown()
            serving.join()


def healthy(*checks: Check) -> Health:
    return Health(status="ok", version="1.2.3", checks=list(checks))


def failing(*checks: Check) -> Health:
    return Health(status="failing", version="1.2.3", checks=list(checks))


def asked(terminal: Terminal, status: int, said: object, *args: str) -> Result:
    with answering(status, said) as server:
        return terminal.run("health", "--url", server.url, *args)


def test_a_watcher_that_watches_is_exit_code_0(terminal: Terminal) -> None:
    result = asked(terminal, 200, healthy(FINE))
    assert result.exit_code == 0
    assert result.stdout.startswith("ok: cryptowatcher 1.2.3 watches")


def test_only_failed_checks_are_printed_each_with_what_to_do(terminal: Terminal) -> None:
    result = asked(terminal, 503, failing(FINE, BEHIND, BLIND))
    assert result.exit_code == 1
    assert [line.split(":")[0].strip() for line in result.stdout.splitlines() if "→" not in line] == [
        "not ok",
        "watch",
        "source",
    ]
    assert "99 records behind" in result.stdout
    assert "cryptowatcher check --online" in result.stdout
    assert result.stdout.count("→") == 2


def test_a_check_that_is_not_known_here_is_shown_all_the_same(terminal: Terminal) -> None:
    result = asked(terminal, 503, failing(Check(name="moon", ok=False, detail="in the wrong house")))
    assert result.exit_code == 1
    assert "moon: in the wrong house" in result.stdout


def test_a_failed_check_is_not_ok_whatever_the_status(terminal: Terminal) -> None:
    assert asked(terminal, 200, healthy(BEHIND)).exit_code == 1
    assert asked(terminal, 503, failing(FINE)).exit_code == 1


def test_ready_is_asked_for_and_live_when_that_is_wanted(terminal: Terminal) -> None:
    with answering(200, healthy()) as server:
        assert terminal.run("health", "--url", server.url).exit_code == 0
        assert terminal.run("health", "--url", server.url + "/behind/proxy/", "--live").exit_code == 0
    assert server.paths == ["/health/ready", "/behind/proxy/health/live"]


def test_what_a_watcher_says_cannot_steer_the_terminal(terminal: Terminal) -> None:
    check = Check(name="\x1b[2Jstore", ok=False, detail="\x1b]0;title\x07")
    assert "\x1b" not in asked(terminal, 503, failing(check)).stdout


@pytest.mark.parametrize(
    ("status", "said", "told"),
    [
        (200, b"<html>hello</html>", "no cryptowatcher"),
        (200, b"{}", "no cryptowatcher"),
        (200, b'{"version": 3}', "no cryptowatcher"),
        (403, b'{"title": "Forbidden", "status": 403, "detail": "this host name is not served"}', "is not served"),
    ],
)
def test_something_else_behind_the_port_is_not_ok(terminal: Terminal, status: int, said: bytes, told: str) -> None:
    result = asked(terminal, status, said)
    assert result.exit_code == 1
    assert told in result.stderr


def test_nobody_there_is_one_sentence_and_exit_code_1(terminal: Terminal) -> None:
    with answering(200, healthy()) as server:
        url = server.url
    result = terminal.run("health", "--url", url)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: nothing answers at {url}: ")


def test_a_silent_page_is_given_up_after_the_timeout(terminal: Terminal) -> None:
    """The port is open and the kernel accepts, but nobody reads: what a hanging process looks like."""
    with Asked(200, b"") as server:  # listens and never serves
        result = terminal.run("health", "--url", server.url, "--timeout", "0.2")
    assert result.exit_code == 1
    assert "no answer in time" in result.stderr


@pytest.mark.parametrize(
    "args",
    [
        ("--url", "127.0.0.1:8000"),
        ("--url", "ftp://127.0.0.1"),
        ("--url", "http://"),
        ("--url", "http://127.0.0.1:port"),
        ("--url", "http://127.0.0.1:99999"),
        ("--url", "http://[::1"),
        ("--url", "http://127.0.0.1/a b"),
        ("--timeout", "0"),
        ("--timeout", "soon"),
        ("--config", "missing.toml"),
        ("extra",),
    ],
)
def test_a_command_line_that_makes_no_sense_is_exit_code_2(terminal: Terminal, args: tuple[str, ...]) -> None:
    result = terminal.run("health", *args)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_without_a_url_the_configured_page_is_asked_as_localhost(terminal: Terminal) -> None:
    with answering(200, healthy()) as server:
        terminal.write("cryptowatcher.toml", f'[web]\nhost = "0.0.0.0"\nport = {server.port}\n')
        assert terminal.run("health").exit_code == 0
    assert server.hosts == ["localhost"]


def test_a_configuration_broken_elsewhere_does_not_make_a_running_watcher_ill(terminal: Terminal) -> None:
    with answering(200, healthy()) as server:
        file = terminal.write("other.toml", f"nonsense = 1\n[web]\nport = {server.port}\n[[rules]]\nname = 3\n")
        assert terminal.run("health", "--config", file).exit_code == 0
        assert terminal.run("health", CRYPTOWATCHER_CONFIG=str(file)).exit_code == 0


@pytest.mark.parametrize("text", ["", "[web]\n", '[web]\nhost = "127.0.0.2"\n', "[web]\nport = 9000\n"])
@pytest.mark.parametrize(
    "environ", [{}, {"CRYPTOWATCHER_WEB__PORT": "9001"}, {"CRYPTOWATCHER_WEB__HOST": "127.0.0.3"}]
)
def test_the_address_is_the_one_the_whole_configuration_names(
    tmp_path: Path, text: str, environ: dict[str, str]
) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text)
    web = load(file, environ).web
    assert configured_page(file, environ)[1:3] == (web.host, web.port)


@pytest.mark.parametrize(("host", "shown"), [("::", "http://[::1]:8000"), ("0.0.0.0", "http://127.0.0.1:8000")])
def test_a_page_on_all_networks_is_asked_over_loopback(host: str, shown: str) -> None:
    assert str(configured_page(None, {"CRYPTOWATCHER_WEB__HOST": host})) == shown


@pytest.mark.parametrize("table", ["[web]\nport = 0", '[web]\nport = "x"', "[web]\nhost = 3", "web = ["])
def test_an_address_that_nobody_can_know_asks_for_a_url(terminal: Terminal, table: str) -> None:
    terminal.write("cryptowatcher.toml", table)
    result = terminal.run("health")
    assert result.exit_code == 2
    assert "--url" in result.stderr


def test_a_check_is_read_as_the_page_writes_it() -> None:
    assert msgspec.json.decode(msgspec.json.encode(BEHIND), type=Seen) == Seen("watch", False, "99 records behind")


ONLY_LIGHT = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        heavy = "apsw asyncio httpx litestar numpy polars sqlalchemy structlog uvicorn".split()
        if name.split(".")[0] in heavy:
            raise AssertionError(f"health imports {name}")

sys.meta_path.insert(0, Refuse())
sys.argv = ["cryptowatcher", "health", *sys.argv[1:]]
from cryptowatcher.cli import main
main()
"""


def test_asking_every_half_minute_imports_nothing_heavy(tmp_path: Path) -> None:
    with answering(200, healthy(FINE)) as server:
        done = subprocess.run(
            [sys.executable, "-c", ONLY_LIGHT, "--url", server.url],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
    assert done.returncode == 0, done.stderr
