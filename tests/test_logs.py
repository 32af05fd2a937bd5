"""Logs are lines that programs can read, carry the ids that belong together, and never a secret."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from cryptowatcher import logs


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_off_a_terminal_each_event_is_one_line_of_json() -> None:
    stream = io.StringIO()
    logs.set_up(stream=stream)
    structlog.get_logger().info("first\nsecond", pair="bitcoin/usd")
    (line,) = lines(stream)
    assert line.items() >= {"event": "first\nsecond", "level": "info", "pair": "bitcoin/usd"}.items()


def test_what_is_bound_stands_on_every_line_inside() -> None:
    stream = io.StringIO()
    logs.set_up(format="json", stream=stream)
    log = structlog.get_logger()
    with bound_contextvars(alert="a1"), bound_contextvars(delivery="d1"):
        log.info("inside")
        logging.getLogger("some.library").warning("beside it")
    log.info("outside")
    assert [(line.get("alert"), line.get("delivery")) for line in lines(stream)] == [
        ("a1", "d1"),
        ("a1", "d1"),
        (None, None),
    ]


def test_a_field_named_like_a_secret_never_shows_its_value() -> None:
    stream = io.StringIO()
    logs.set_up(format="json", stream=stream)
    structlog.get_logger().info("x", api_key="s3cret", Authorization="s3cret", secret_file="hook.key")
    assert "s3cret" not in stream.getvalue()
    assert lines(stream)[0]["secret_file"] == "hook.key"


def test_a_traceback_shows_no_local_values() -> None:
    stream = io.StringIO()
    logs.set_up(format="json", stream=stream)
    token = "s3cr" + "et"  # so that it does not stand in the source line that a traceback quotes
    try:
        raise ValueError(len(token))
    except ValueError:
        structlog.get_logger().exception("failed")
    assert lines(stream)[0]["exception"][0]["exc_type"] == "ValueError"
    assert "s3cret" not in stream.getvalue()


@pytest.mark.parametrize("name", ["httpx", "uvicorn.access", "uvicorn.error"])
def test_libraries_speak_of_troubles_only(name: str) -> None:
    stream = io.StringIO()
    logs.set_up(format="json", stream=stream)
    logging.getLogger(name).info("a request")
    logging.getLogger(name).warning("a trouble")
    assert len(lines(stream)) == 1


def test_less_important_events_are_left_out() -> None:
    stream = io.StringIO()
    logs.set_up(format="json", level="warning", stream=stream)
    structlog.get_logger().info("no")
    structlog.get_logger().warning("yes")
    assert len(lines(stream)) == 1
