"""The page, the description of the API, and that what people type stays text."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from cryptowatcher.domain.status import BlindPair
from cryptowatcher.domain.texts import show_price
from cryptowatcher.web.page import SCRIPT
from tests.web.world import alert, price, source, world

DESCRIPTION = Path(__file__).parents[2] / "docs" / "openapi.json"
NASTY = "<script>alert(1);'\"><img src=x onerror='alert(2)'>&amp;"


def get(tmp_path: Path, path: str, *, statuses: Any = (), **effects: Any) -> httpx.Response:
    async def scenario() -> httpx.Response:
        async with world(tmp_path) as here, here.client() as client:
            await here.watched(**effects)
            await here.seen(*statuses)
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


def test_the_page_shows_prices_alerts_and_sources(tmp_path: Path) -> None:
    answer = get(
        tmp_path,
        "/",
        prices=[
            price("bitcoin/usd", 67_123.456),
            price("pepe/usd", 0.0000123456789),
            price("bitcoin/jpy", 1234567),
        ],
        alerts=[alert()],
        statuses=[
            source("coingecko", "limited", reason="rate_limited", detail="asked to wait 30 s"),
            source("kraken", "blind", reason="held", detail="mostly `held`", held=3),
            source("late", "starting", last_ok_at=0),
        ],
    )
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    seen = Seen(answer.text)
    for words in (
        "bitcoin/usd",
        "67,123.5",
        "0.0000123457",
        "1,234,567",
        "btc drops",
        "price >= 70000",
        "limited: no new prices now, the last ones still count (asked to wait 30 s)",
        "blind: none of its prices is current (prices are held back until confirmed)",
        "3 held back until confirmed",
        "starting: it has not answered yet",
    ):
        assert words in seen.text
    assert ("href", "https://www.coingecko.com/en/api") in seen.attributes
    assert "Data provided by" in seen.text


def test_what_people_and_sources_write_stays_text(tmp_path: Path) -> None:
    plain = Seen(get(folder(tmp_path, "plain"), "/", **written("harmless")).text)
    nasty = Seen(get(folder(tmp_path, "nasty"), "/", **written(NASTY)).text)
    assert nasty.tags == plain.tags
    assert [name for name, _ in nasty.attributes] == [name for name, _ in plain.attributes]
    assert nasty.text.count(NASTY) == plain.text.count("harmless") > 0


def folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


def written(text: str) -> dict[str, Any]:
    return {
        "prices": [price(f"{text}/usd", 1.0), price("bitcoin/usd", 2.0)],
        "alerts": [alert(rule_name=text, pair=text, condition=text)],
        "statuses": [source(detail=text, reason=text, blind_pairs=(BlindPair(text, text, 1),))],
    }


def test_the_pages_policy_lets_its_own_script_run_and_no_other(tmp_path: Path) -> None:
    answer = get(tmp_path, "/")
    policy = answer.headers["content-security-policy"]
    for element in ("script", "style"):
        inner = answer.text.partition(f"<{element}>")[2].partition(f"</{element}>")[0]
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


@pytest.mark.skipif(shutil.which("node") is None, reason="no JavaScript here")
def test_the_script_shows_prices_as_all_texts_do() -> None:
    digits = (1.0, 1.25, 6.7123456, 9.99999, 9.9999949, 9.9999951)
    values = [digit * 10.0**power for digit in digits for power in range(-13, 17)] + [0.0, 0.5, 1234566.5, 1e-6]
    inner = SCRIPT[SCRIPT.index("function shown") : SCRIPT.index("const time")]
    program = f"{inner}console.log(JSON.stringify({json.dumps(values)}.map(shown)))"
    done = subprocess.run(["node", "-e", program], capture_output=True, check=True, timeout=60)
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
