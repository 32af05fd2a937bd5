"""The page as files that are served, and the description of the API."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from cryptowatcher.domain.texts import show_price
from tests.web.world import world

ROOT = Path(__file__).parents[2]
DESCRIPTION = ROOT / "docs" / "openapi.json"
NODE = shutil.which("node", path=str(Path(sys.executable).parent))
"""The one that builds the page: others may be too old."""
FORMATS = ROOT / "frontend" / "src" / "lib" / "format.ts"


def get(tmp_path: Path, path: str) -> httpx.Response:
    async def scenario() -> httpx.Response:
        async with world(tmp_path) as here, here.client() as client:
            return await client.get(path)

    return asyncio.run(scenario())


class Seen(HTMLParser):
    """What a browser would find: tags, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def built(folder: Path) -> Path:
    """A page as the build leaves one, small."""
    for name, text in BUILT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text)
    return folder


BUILT = {
    "index.html": b"<!doctype html><title>page</title>",
    "assets/index-1a2b.js": b"let page = 1;",
    "assets/index-1a2b.js.br": b"as brotli",
    "assets/index-1a2b.js.gz": b"as gzip",
    "static/icon.svg": b"<svg/>",
}
SCRIPT = "/assets/index-1a2b.js"


Asked = str | tuple[str, dict[str, str]]


def asked(tmp_path: Path, *wanted: Asked) -> list[httpx.Response]:
    """Of a server with that page: paths, or paths with headers. Bodies are as they were sent."""

    async def scenario() -> list[httpx.Response]:
        async with world(tmp_path) as here, here.client(page_dir=built(tmp_path / "built")) as client:
            return [await raw(client, *((one, {}) if isinstance(one, str) else one)) for one in wanted]

    return asyncio.run(scenario())


async def raw(client: httpx.AsyncClient, path: str, headers: dict[str, str]) -> httpx.Response:
    async with client.stream("GET", path, headers={"accept-encoding": "", **headers}) as answer:
        answer._content = b"".join([part async for part in answer.aiter_raw()])
    return answer


def test_every_view_is_the_page_and_is_asked_for_anew_each_time(tmp_path: Path) -> None:
    for answer in asked(tmp_path, "/", "/coin/bitcoin/usd", "/coin/staked-ether/bitcoin"):
        assert answer.content == BUILT["index.html"]
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"


def test_the_pages_policy_lets_only_its_own_files_run(tmp_path: Path) -> None:
    (answer,) = asked(tmp_path, "/")
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in str(policy)
    assert "http" not in str(policy)
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_files_with_a_hash_in_their_name_are_kept_for_ever_and_others_are_not(tmp_path: Path) -> None:
    script, icon = asked(tmp_path, SCRIPT, "/static/icon.svg")
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert icon.headers["cache-control"] == "no-cache"


def test_a_file_comes_in_the_shortest_form_the_browser_takes(tmp_path: Path) -> None:
    wanted = {
        "gzip, deflate, br": ("br", b"as brotli"),
        "gzip;q=1.0": ("gzip", b"as gzip"),
        "br;q=0, gzip": ("gzip", b"as gzip"),
        "": (None, b"let page = 1;"),
    }
    answers = asked(tmp_path, *((SCRIPT, {"accept-encoding": accepted}) for accepted in wanted))
    assert [(each.headers.get("content-encoding"), each.content) for each in answers] == [*wanted.values()]
    assert {each.headers["vary"] for each in answers} == {"accept-encoding"}


def test_what_a_browser_has_already_is_not_sent_again(tmp_path: Path) -> None:
    icon = "/static/icon.svg"
    (first,) = asked(tmp_path, icon)
    old, other = ({"if-none-match": tag} for tag in (first.headers["etag"], '"other"'))
    again, changed = asked(tmp_path, (icon, old), (icon, other))
    assert (again.status_code, again.content) == (304, b"")
    assert (changed.status_code, changed.content) == (200, b"<svg/>")


def test_nothing_else_is_served(tmp_path: Path) -> None:
    for answer in asked(tmp_path, "/assets/none.js", "/static/..%2findex.html", f"{SCRIPT}.gz", "/other"):
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_page_that_was_not_built_says_what_to_do_and_the_api_answers(tmp_path: Path) -> None:
    async def scenario() -> tuple[httpx.Response, httpx.Response]:
        async with world(tmp_path) as here, here.client(page_dir=tmp_path / "none") as client:
            return await client.get("/"), await client.get("/api/v1/prices")

    page, prices = asyncio.run(scenario())
    assert page.status_code == 503
    assert "make page" in page.text
    assert prices.status_code == 200


@pytest.mark.skipif(NODE is None, reason="the page was not built: make page")
def test_the_page_shows_prices_as_all_texts_do() -> None:
    digits = (1.0, 1.25, 6.7123456, 9.99999, 9.9999949, 9.9999951)
    values = [digit * 10.0**power for digit in digits for power in range(-13, 17)] + [0.0, 0.5, 1234566.5, 1e-6]
    program = f"""import {{ number }} from {json.dumps(FORMATS.as_uri())};
console.log(JSON.stringify({json.dumps(values)}.map(number)));"""
    assert NODE is not None
    command = [NODE, "--experimental-strip-types", "--input-type=module", "-e", program]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert json.loads(done.stdout) == [show_price(value) for value in values]


def test_the_api_is_described_in_words_without_anything_from_elsewhere(tmp_path: Path) -> None:
    seen = Seen(get(tmp_path, "/docs").text)
    assert "GET /api/v1/candles/{asset}/{currency}" in seen.text
    assert "script" not in seen.tags
    assert not [value for name, value in seen.attributes if name == "src" or (value or "").startswith("http")]


def test_the_committed_description_is_what_the_program_serves(tmp_path: Path) -> None:
    """After a wanted change: UPDATE_OPENAPI=1 pytest tests/web/test_page.py, and commit docs/openapi.json."""
    served = get(tmp_path, "/docs/openapi.json").json()
    served["info"]["version"] = "1"
    if os.environ.get("UPDATE_OPENAPI"):
        DESCRIPTION.parent.mkdir(exist_ok=True)
        DESCRIPTION.write_text(json.dumps(served, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    assert json.loads(DESCRIPTION.read_text()) == served, "UPDATE_OPENAPI=1 pytest tests/web/test_page.py"


def test_every_operation_is_described(tmp_path: Path) -> None:
    document = get(tmp_path, "/docs/openapi.json").json()
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    assert all(operation["summary"] and operation["tags"] for operation in operations)
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert "/api/v1/stream" in document["paths"]
