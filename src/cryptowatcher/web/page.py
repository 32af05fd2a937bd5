"""GET /: one small page without a framework, drawn here and kept fresh by the live stream. GET /docs: the API
in words. Whatever people or sources wrote is escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.openapi.plugins import OpenAPIRenderPlugin

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.intervals import show_duration
from cryptowatcher.domain.status import Price, SourceState, SourceStatus
from cryptowatcher.domain.texts import show_price
from cryptowatcher.ports import Tx
from cryptowatcher.web.deps import Deps

SHOWN_ALERTS = 20

STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 60rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .5rem; border-bottom: 1px solid var(--line); overflow-wrap:break-word; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
.stale, .quiet { opacity: .65; } .blind { font-weight: bold; } footer { margin-top: 2rem; font-size: .9rem; }
@media (max-width: 36rem) {
  .wide { display: none; } body { padding: .6rem; }
  #sources, #sources tbody, #sources tr, #sources td { display: block; }
  #sources tr { padding: .3rem 0; border-bottom: 1px solid var(--line); }
  #sources td { padding: 0; border: 0; }
}
"""

SCRIPT = """
"use strict";
const body = document.getElementById("prices"), state = document.getElementById("state");
const rows = new Map(Array.from(body.rows, row => [row.dataset.pair, row]));
function shown(price) {  // as the program's own texts write it
  const size = Math.abs(price);
  if (size && (size < 1e-6 || size >= 1e15)) {
    return Number(price.toPrecision(6)).toExponential().replace("e+", "e");
  }
  const maximumFractionDigits = size ? Math.max(5 - Math.floor(Math.log10(size)), 0) : 0;
  return price.toLocaleString("en-US", { maximumFractionDigits, roundingMode: "halfEven" });
}
const time = ms => new Date(ms).toISOString().slice(11, 19);
function rowOf(pair) {
  if (rows.has(pair)) return rows.get(pair);
  const row = body.insertRow();
  row.dataset.pair = pair;
  row.insertCell().textContent = pair;
  row.insertCell().className = "number";
  row.insertCell().className = "number";
  row.insertCell().className = "wide";
  rows.set(pair, row);
  return row;
}
function show(prices) {
  for (const price of prices) {
    const row = rowOf(price.pair);
    row.dataset.until = price.valid_until_ms;
    row.cells[1].textContent = shown(price.price);
    row.cells[2].textContent = time(price.observed_at_ms);
    row.cells[3].textContent = price.source;
  }
  fade();
}
function fade() {
  for (const row of rows.values()) row.className = Number(row.dataset.until) < Date.now() ? "stale" : "";
}
const live = new EventSource("/api/v1/stream");
live.onopen = () => { state.textContent = "live"; };
live.onerror = () => { state.textContent = "not connected; trying again"; };
live.addEventListener("snapshot", event => show(JSON.parse(event.data).prices));
live.addEventListener("prices", event => show(JSON.parse(event.data).prices));
live.addEventListener("alerts", event => {
  const list = document.getElementById("alerts");
  for (const alert of JSON.parse(event.data).alerts.reverse()) {
    const item = document.createElement("li");
    item.id = `alert-${alert.id}`;
    item.textContent = `${time(alert.event_time_ms)} ${alert.pair}: ${alert.rule_name} (${alert.condition}), ` +
      `price ${shown(alert.price)}`;
    list.prepend(item);
    while (list.children.length > 20) list.lastChild.remove();
  }
});
setInterval(fade, 5000);
"""


_STATES: dict[SourceState, str] = {
    "starting": "starting: it has not answered yet",
    "ok": "ok",
    "limited": "limited: no new prices now, the last ones still count",
    "blind": "blind: none of its prices is current",
}
_HELD = "prices are held back until confirmed"


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


_POLICY = (
    f"default-src 'none'; script-src '{_hash(SCRIPT)}'; style-src '{_hash(STYLE)}'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@get("/", media_type=MediaType.HTML, include_in_schema=False)
async def page(deps: Deps) -> Response[str]:
    def read(tx: Tx) -> tuple[list[Price], list[Alert], list[SourceStatus]]:
        return tx.prices(), tx.alerts(deps.owner, limit=SHOWN_ALERTS), tx.source_statuses()

    prices, alerts, sources = await deps.asked.run(read)
    html = _document("cryptowatcher", _main(prices, alerts, sources, deps.clock.now()), script=SCRIPT)
    return Response(html, media_type=MediaType.HTML, headers={"content-security-policy": _POLICY})


class PlainDocs(OpenAPIRenderPlugin):
    """The API as a page that needs no script and nothing from elsewhere."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        del request
        return _document("cryptowatcher API", "".join(_docs(openapi_schema))).encode()


def _main(prices: Sequence[Price], alerts: Iterable[Alert], sources: Iterable[SourceStatus], now: int) -> str:
    price_rows = "".join(_price_row(price, now) for price in prices)
    alert_items = "".join(_alert_item(alert) for alert in alerts)
    source_rows = "".join(_source_row(status, now) for status in sources)
    return f"""<header><h1>cryptowatcher</h1>
<p>Watches cryptocurrency prices and tells you the moment a rule of yours comes true.
<span id="state" class="quiet">as of {_clock(now)} UTC</span></p></header>
<main><section><h2>Sources</h2><table id="sources"><tbody>{source_rows}</tbody></table></section>
<section><h2>Last alerts</h2><ul id="alerts">{alert_items}</ul></section>
<section><h2>Prices</h2><table><thead><tr><th>pair</th><th class="number">price</th>
<th class="number">observed, UTC</th><th class="wide">source</th></tr></thead>
<tbody id="prices">{price_rows}</tbody></table></section></main>
<footer><p><a href="/docs">API</a> · <a href="/docs/openapi.json">OpenAPI</a> ·
<a href="/health/ready">health</a> · <a href="/metrics">metrics</a></p>
<p>Data provided by <a href="https://www.coingecko.com/en/api" rel="noreferrer">CoinGecko</a></p></footer>"""


def _price_row(price: Price, now: int) -> str:
    stale = ' class="stale"' if price.valid_until < now else ""
    pair = escape(price.pair)
    return (
        f'<tr data-pair="{pair}" data-until="{price.valid_until}"{stale}><td>{pair}</td>'
        f'<td class="number">{show_price(price.price)}</td><td class="number">{_clock(price.observed_at)}</td>'
        f'<td class="wide">{escape(price.source)}</td></tr>'
    )


def _alert_item(alert: Alert) -> str:
    return (
        f'<li id="alert-{escape(alert.id)}">{_clock(alert.event_time)} {escape(alert.pair)}: '
        f"{escape(alert.rule_name)} ({escape(alert.condition)}), price {show_price(alert.price)}</li>"
    )


def _source_row(status: SourceStatus, now: int) -> str:
    seen = f"{status.pairs:,} {'pair' if status.pairs == 1 else 'pairs'}"
    if status.blind_pairs:
        seen += f", {len(status.blind_pairs)} without a current price"
    if status.held:
        seen += f", {status.held} held back until confirmed"
    age = show_duration(max(0, now - status.last_ok_at) // 1000 * 1000) if status.last_ok_at else "never"
    return (
        f'<tr><td>{escape(status.source)}</td><td class="{status.state}">{escape(_state_words(status))}</td>'
        f"<td>{seen}</td><td>last answer {age}{' ago' if status.last_ok_at else ''}</td></tr>"
    )


def _state_words(status: SourceStatus) -> str:
    """The state, and why, as a sentence a person understands without the manual."""
    why = _HELD if status.reason == "held" else status.detail or status.reason
    return f"{_STATES[status.state]} ({why})" if why else _STATES[status.state]


def _docs(schema: dict[str, Any]) -> Iterable[str]:
    yield "<header><h1>cryptowatcher API</h1>"
    yield f"<p>{escape(schema['info'].get('description', ''))}</p>"
    yield '<p><a href="/docs/openapi.json">OpenAPI document</a></p></header><main>'
    for path, item in sorted(schema["paths"].items()):
        for method, operation in item.items():
            yield f"<section><h2>{escape(method.upper())} {escape(path)}</h2>"
            for text in (operation.get("summary"), operation.get("description")):
                yield f"<p>{escape(text)}</p>" if text else ""
            yield "<ul>"
            for parameter in operation.get("parameters", ()):
                said = escape(parameter.get("description") or "")
                yield f"<li><code>{escape(parameter['name'])}</code> {said}</li>"
            yield "</ul></section>"
    yield "</main>"


def _document(title: str, inner: str, *, script: str = "") -> str:
    """`script` must be the constant whose hash the policy names."""
    tail = f"<script>{script}</script>" if script else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>{inner}{tail}</body></html>"
    )


def _clock(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%H:%M:%S")
