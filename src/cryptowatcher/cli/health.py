"""`cryptowatcher health`: ask a running watcher whether it watches.

A container asks every half minute, so this imports next to nothing. Of the configuration it reads only where the
page is: a file that was broken since the start must not make a watcher that runs look ill.
"""

from __future__ import annotations

import http.client
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import typer

from cryptowatcher.domain.findings import about_check
from cryptowatcher.domain.texts import plain
from cryptowatcher.errors import ConfigError, Unavailable
from cryptowatcher.listening import asked_at

FILE_NAME = "cryptowatcher.toml"
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8000

LONGEST = 256 * 1024
"""Bytes of an answer; a longer one is not ours."""

# As in `options`, whose import takes longer than all of this.
app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Check(msgspec.Struct, frozen=True):
    """What is used of one of the watcher's checks."""

    name: str
    ok: bool
    detail: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What is used of an answer: of health `version` and `checks`, of a problem `detail`."""

    version: str = ""
    checks: tuple[Check, ...] = ()
    detail: str = ""


class Page(NamedTuple):
    """Where to ask. `name` goes into the Host header when it is not the address itself."""

    scheme: str
    host: str
    port: int | None
    path: str = ""
    name: str | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{f':{self.port}' if self.port else ''}{self.path}"


@app.command()
def health(
    url: Annotated[
        str | None, typer.Option("--url", help="Of the page; without it the one the configuration names.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Only whether the page answers, not whether it watches.")
    ] = False,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, max=300, help="Seconds to wait.")] = 5.0,
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            envvar="CRYPTOWATCHER_CONFIG",
            metavar="FILE",
            help="Where the page's address stands; without it ./cryptowatcher.toml if there is one.",
        ),
    ] = None,
) -> None:
    """Ask a running watcher whether it watches: exit code 0, or 1 and what is wrong."""
    page = page_at(url) if url is not None else configured_page(config_file, os.environ)
    status, answer = ask(page, "/health/live" if live else "/health/ready", timeout)
    failed = [check for check in answer.checks if not check.ok]
    if status == 200 and not failed:
        print(f"ok: cryptowatcher {plain(answer.version)} {'answers' if live else 'watches'} at {page}")
        return
    print(f"not ok: cryptowatcher {plain(answer.version)} at {page}")
    for check in failed:
        print(f"  {plain(check.name)}: {plain(check.detail)}\n    → {about_check(check.name)}")
    raise typer.Exit(1)


def page_at(url: str) -> Page:
    """ConfigError when this is no address of a page."""
    hint = "for example http://127.0.0.1:8000"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"{url!r} cannot be read: {error}", where="--url", hint=hint) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or " " in url:
        raise ConfigError(f"{url!r} is not the address of a page", where="--url", hint=hint)
    return Page(parts.scheme, parts.hostname, port, parts.path.rstrip("/"))


def configured_page(file: Path | None, environ: Mapping[str, str]) -> Page:
    """Where the page of this configuration is, as `config.resolve` would find it."""
    if file is None and Path(FILE_NAME).is_file():
        file = Path(FILE_NAME)
    web = _web_table(file) if file else {}
    host = environ.get("CRYPTOWATCHER_WEB__HOST", web.get("host", DEFAULT_HOST))
    port = str(environ.get("CRYPTOWATCHER_WEB__PORT", web.get("port", DEFAULT_PORT))).strip()
    if not isinstance(host, str) or not port.isdecimal() or not 0 < int(port) <= 65535:
        hint = "say where the page is with --url"
        raise ConfigError(f"the page has no known address ({host!r}, port {port})", where="web", hint=hint)
    # The page knows itself as localhost, whatever name or address it was told to listen on.
    return Page("http", asked_at(host), int(port), name="localhost")


def _web_table(file: Path) -> Mapping[str, Any]:
    try:
        web = tomllib.loads(file.read_text(encoding="utf-8")).get("web", {})
    except (OSError, ValueError) as error:
        hint = "say where the page is with --url"
        raise ConfigError(f"cannot be read: {error}", where=str(file), hint=hint) from None
    return web if isinstance(web, dict) else {}


def ask(page: Page, path: str, timeout: float) -> tuple[int, Answer]:
    """The status and what was said. Unavailable when nothing answers, or something that is no cryptowatcher."""
    connect = http.client.HTTPSConnection if page.scheme == "https" else http.client.HTTPConnection
    connection = connect(page.host, page.port, timeout=timeout)
    headers = {"Accept": "application/json"} | ({"Host": page.name} if page.name else {})
    try:
        connection.request("GET", page.path + path, headers=headers)
        response = connection.getresponse()
        body = response.read(LONGEST)
    except (OSError, http.client.HTTPException) as error:
        why = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        message = f"nothing answers at {page}: {plain(why)}\n  hint: is the watcher running? its log says why not"
        raise Unavailable(message, reason="unreachable") from None
    finally:
        connection.close()
    try:
        answer = msgspec.json.decode(body, type=Answer)
    except msgspec.MsgspecError:
        answer = Answer()
    if not answer.version:
        said = f": {plain(answer.detail)}" if answer.detail else ""
        message = f"what answers at {page} is no cryptowatcher that is ready (HTTP {response.status}{said})"
        raise Unavailable(message, reason="unexpected_answer")
    return response.status, answer
