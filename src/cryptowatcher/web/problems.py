"""Errors as RFC 9457 problem details, the same shape everywhere; never an internal."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.enums import ParamType
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers import BaseRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter

from cryptowatcher.errors import ConfigError, Unavailable
from cryptowatcher.web.answers import FieldProblem, ProblemAnswer

MEDIA_TYPE = "application/problem+json"
Anything = Request[Any, Any, Any]
Answer = Response[ProblemAnswer]

log = structlog.get_logger()


class Problem(Exception):
    """What a handler raises when the request cannot be answered."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: list[FieldProblem] | None = None,
        retry_after: int | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors or []
        self.retry_after = retry_after
        self.headers = headers


def not_found(what: str) -> Problem:
    return Problem(404, what)


def bad_parameter(name: str, message: str, *, hint: str = "") -> Problem:
    """A query parameter that cannot be read."""
    return Problem(400, "the request cannot be read", errors=[FieldProblem(path=name, message=message, hint=hint)])


def query_names(handler: BaseRouteHandler) -> dict[str, str]:
    """What a route's query parameters are called: in its function, and in a query."""
    kwargs = {name: field.kwarg_definition for name, field in handler.parsed_fn_signature.parameters.items()}
    return {name: kwarg.name or name for name, kwarg in kwargs.items() if isinstance(kwarg, QueryParameter)}


def problem(status: int, detail: str, errors: list[FieldProblem] | None = None) -> ProblemAnswer:
    """`type` says nothing beyond the status, as RFC 9457 wants it then; `errors` say which field."""
    return ProblemAnswer(
        type="about:blank", title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors or []
    )


def encoded(status: int, detail: str) -> bytes:
    """For answers given outside Litestar."""
    return msgspec.json.encode(problem(status, detail))


def documented(*statuses: int) -> dict[int, ResponseSpec]:
    """What a route's OpenAPI description says about its errors."""
    return {
        status: ResponseSpec(
            ProblemAnswer, generate_examples=False, description=HTTPStatus(status).phrase, media_type=MEDIA_TYPE
        )
        for status in statuses
    }


def on_problem(_: Anything, error: Problem) -> Answer:
    wait = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
    return _answer(problem(error.status, error.detail, error.errors), headers={**error.headers, **wait})


def on_http(request: Anything, error: HTTPException) -> Answer:
    """Litestar's own: no route, wrong method, unreadable or invalid request."""
    status = error.status_code
    if status >= 500:
        return on_bug(request, error)
    if isinstance(error, ValidationException):
        fields = _fields(error.extra, query_names(request.route_handler))
        return _answer(problem(status, "the request is not valid", fields))
    detail = f"there is nothing at {request.url.path}" if status == 404 else error.detail
    return _answer(problem(status, detail), headers=error.headers)


def on_config_error(_: Anything, error: ConfigError) -> Answer:
    """A rule that cannot be."""
    field = FieldProblem(path=error.where, message=error.message, hint=error.hint)
    place = f"{error.where}: " if error.where else ""
    return _answer(problem(422, f"{place}{error.message.splitlines()[0]}", [field]))


def on_unavailable(_: Anything, error: Unavailable) -> Answer:
    headers = {"retry-after": str(max(1, round(error.retry_after or 1)))}
    return _answer(problem(503, "the store cannot answer now; try again"), headers=headers)


def on_bug(request: Anything, error: Exception) -> Answer:
    log.error("a request failed", method=request.method, path=request.url.path, exc_info=error)
    return _answer(problem(500, "this is a bug in cryptowatcher; its log says more"))


HANDLERS: dict[int | type[Exception], Any] = {
    Problem: on_problem,
    HTTPException: on_http,
    ConfigError: on_config_error,
    Unavailable: on_unavailable,
    Exception: on_bug,
}


def _fields(extra: object, names: Mapping[str, str]) -> list[FieldProblem]:
    """Litestar gives a list of {message, key, source}, with some of them missing. A parameter's key is its name
    in our function: `names` say what a caller knows it by."""
    entries = extra if isinstance(extra, list) else []
    return [
        FieldProblem(path=_path(entry, names), message=str(entry.get("message", "")))
        for entry in entries
        if isinstance(entry, dict)
    ]


def _path(entry: Mapping[str, Any], names: Mapping[str, str]) -> str:
    key = str(entry.get("key", ""))
    return names.get(key, key) if entry.get("source") == ParamType.QUERY else key


def _answer(body: ProblemAnswer, *, headers: dict[str, str] | None = None) -> Answer:
    return Response(body, status_code=body.status, media_type=MEDIA_TYPE, headers=headers)
