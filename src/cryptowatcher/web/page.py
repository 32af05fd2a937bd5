"""The page: files that the build of frontend/ left here. Whatever it shows, it asks the API for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import structlog
from litestar import MediaType, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import PathParameter, SkipValidation

from cryptowatcher.web.files import BUILT, File, read_files
from cryptowatcher.web.problems import not_found

VIEWS = [
    "/",
    "/coin/{asset:str}/{currency:str}",
    "/rules",
    "/rules/{rule:str}",
    "/alerts",
    "/alerts/{alert:str}",
    "/signals",
    "/channels",
    "/system",
    "/account",
    "/setup",
    "/login",
]
"""Addresses of views, all of which are the one document; the page finds out which. The page's own list of them is
frontend/src/lib/router.svelte.ts."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_WORKER_POLICY = "default-src 'none'; connect-src 'self'; img-src 'self'"
_POLICIES = {"index.html": _POLICY, "static/offline.html": _POLICY, "sw.js": _WORKER_POLICY}
_NOT_BUILT = "The page was not built: run `make page` and start again. The API is there: /docs describes it.\n"

log = structlog.get_logger()


class Page:
    """What `frontend/` was built to. One for an application."""

    def __init__(self, folder: Path = BUILT) -> None:
        self.files = read_files(folder)
        if "index.html" not in self.files:
            log.warning("the page was not built", hint="make page")

    def answer(self, request: Request[Any, Any, Any], name: str) -> Response[bytes]:
        """A file, or that the browser has it already."""
        file = self.files.get(name)
        if file is None:
            raise not_found(f"there is nothing at {request.url.path}")
        headers = {"cache-control": file.cache, "etag": file.etag, "vary": "accept-encoding"}
        if name in _POLICIES:
            headers["content-security-policy"] = _POLICIES[name]
        if file.etag in request.headers.get("if-none-match", ""):
            return Response(b"", status_code=304, headers=headers)
        return _whole(file, request.headers.get("accept-encoding", ""), headers)


Built = NamedDependency[SkipValidation[Page]]
"""How a route handler names it: `built: Built`."""
FileName = Annotated[str, PathParameter()]


@get(VIEWS, needs="anyone", include_in_schema=False, media_type=MediaType.HTML)
async def page(request: Request[Any, Any, Any], built: Built) -> Response[bytes]:
    if "index.html" not in built.files:
        return Response(_NOT_BUILT.encode(), status_code=503, media_type=MediaType.TEXT)
    return built.answer(request, "index.html")


@get("/assets/{name:str}", needs="anyone", include_in_schema=False)
async def asset(request: Request[Any, Any, Any], built: Built, name: FileName) -> Response[bytes]:
    return built.answer(request, f"assets/{name}")


@get("/static/{name:str}", needs="anyone", include_in_schema=False)
async def static(request: Request[Any, Any, Any], built: Built, name: FileName) -> Response[bytes]:
    return built.answer(request, f"static/{name}")


@get("/sw.js", needs="anyone", include_in_schema=False)
async def service_worker(request: Request[Any, Any, Any], built: Built) -> Response[bytes]:
    """It stands at the root, because a worker serves only what is beside and below it."""
    return built.answer(request, "sw.js")


def _whole(file: File, accepted: str, headers: dict[str, str]) -> Response[bytes]:
    encoding, body = file.chosen(accepted)
    if encoding:
        headers["content-encoding"] = encoding
    return Response(body, headers=headers, media_type=file.media_type)
