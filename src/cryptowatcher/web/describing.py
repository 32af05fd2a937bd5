"""GET /docs: the API as a page that needs no script, no style and nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from litestar import Request
from litestar.openapi.plugins import OpenAPIRenderPlugin


class PlainDocs(OpenAPIRenderPlugin):
    """What the description says, as headings and lists. Whatever it says is escaped."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        del request
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>cryptowatcher API</title></head><body>{''.join(_docs(openapi_schema))}</body></html>"
        ).encode()


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
