"""What a request must be before its route sees it: its body can be read, its parameters exist."""

from __future__ import annotations

import difflib
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from cryptowatcher.web.answers import FieldProblem
from cryptowatcher.web.problems import Problem, query_names


class ApiRequest(Request[Any, Any, Any]):
    """Reads bodies so that whatever a caller sends is the caller's mistake, never a bug here."""

    async def body(self) -> bytes:
        """Only routes that need a body ask for it."""
        body = await super().body()
        if not body:
            raise Problem(400, "the body is empty: send a JSON object as application/json")
        return body

    async def json(self) -> Any:
        """Litestar translates what the decoder says of JSON; of depth and of letters it says it otherwise."""
        try:
            return await super().json()
        except RecursionError:
            raise Problem(400, "the body is nested too deeply") from None
        except UnicodeDecodeError:
            raise Problem(400, "the body is not UTF-8") from None


def known_parameters_only(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard: a misspelt parameter that is passed over would answer another question than the one asked."""
    known = list(query_names(handler).values())
    errors = [_unknown(name, known) for name in dict.fromkeys(connection.query_params) if name not in known]
    if errors:
        named = ", ".join(repr(error.path) for error in errors)
        raise Problem(400, f"there is no parameter {named[:200]}", errors=errors)


def _unknown(name: str, known: list[str]) -> FieldProblem:
    shown = name[:100]
    close = difflib.get_close_matches(shown, known, n=1)
    listed = f"parameters are: {', '.join(known)}" if known else "nothing can be asked for here"
    hint = f"did you mean {close[0]!r}?" if close else listed
    return FieldProblem(path=shown, message=f"there is no parameter {shown!r}", hint=hint)
