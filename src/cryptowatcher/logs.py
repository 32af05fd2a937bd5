"""Logs: one event name and fields, on standard error, on change of state only.

Pretty on a terminal, one JSON object a line otherwise. One event can be followed by its ids: a line about a call
to a source carries `call` (the number of the first record it leads to); an alert's line carries the `call` of its
record, its `seq` and its id; a delivery's id begins with that of its alert.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Format = Literal["auto", "console", "json"]

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

QUIET = ("uvicorn", "httpx", "httpcore", "asyncio", "alembic", "sqlalchemy", "litestar", "apprise")
"""Libraries that speak of every request; only their warnings are news."""

SECRET = ("secret", "token", "password", "authorization", "api_key", "signature")


def set_up(*, format: Format = "auto", level: str = "info", stream: TextIO | None = None) -> None:  # noqa: A002  # its name in the file
    """Route structlog and the standard library's logging to one stream. Called once by each process."""
    stream = stream or sys.stderr
    pretty = format == "console" or (format == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if pretty else "iso", utc=not pretty),
        hide_secrets,
    ]
    structlog.configure(
        processors=[*shared, *_render(pretty, stream)],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_render(pretty, stream)],
        )
    )
    logging.basicConfig(handlers=[handler], level=LEVELS[level], force=True)
    for name in QUIET:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(max(logging.WARNING, LEVELS[level]))


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> MutableMapping[str, Any]:
    """The last fence: a field named like a secret never shows its value."""
    for key in event:
        if any(word in key.lower() for word in SECRET) and not key.endswith(("_file", "_variable")):
            event[key] = "***"
    return event


def _render(pretty: bool, stream: TextIO) -> list[Processor]:
    if pretty:
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)]
    # Without local variables: a secret may be among them.
    traceback = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [
        structlog.processors.ExceptionRenderer(traceback),
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
