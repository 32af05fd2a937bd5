"""The cookie that holds a session's secret: out of reach of scripts, and not sent along by other sites' pages."""

from __future__ import annotations

from typing import Any, Literal

from litestar import Request
from litestar.datastructures import Cookie

from cryptowatcher.domain.accounts import LONGEST_SESSION
from cryptowatcher.domain.intervals import MS

NAME = "cryptowatcher"
SECURE_NAME = f"__Host-{NAME}"
"""Browsers take this one over https alone, and no other host of the domain can set it."""

Connection = Request[Any, Any, Any]


def secret_in(connection: Connection) -> str:
    """ "" when there is none."""
    return connection.cookies.get(SECURE_NAME) or connection.cookies.get(NAME) or ""


def keep(connection: Connection, secret: str) -> Cookie:
    """The session's secret for this browser."""
    return _cookie(connection, secret, LONGEST_SESSION // MS["s"])


def forget(connection: Connection) -> Cookie:
    return _cookie(connection, "", 0)


def _cookie(connection: Connection, value: str, seconds: int) -> Cookie:
    secure = _is_https(connection)
    lax: Literal["lax"] = "lax"
    name = SECURE_NAME if secure else NAME
    return Cookie(name, "/", value, max_age=seconds, secure=secure, httponly=True, samesite=lax)


def _is_https(connection: Connection) -> bool:
    """As the browser sees it. Behind a proxy that does TLS only the origin tells, and the edge held that against
    the Host."""
    return connection.scope["scheme"] == "https" or connection.headers.get("origin", "").startswith("https://")
