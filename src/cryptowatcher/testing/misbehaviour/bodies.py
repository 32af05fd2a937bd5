"""Connections that break and bodies that are not what 200 promises."""

from __future__ import annotations

import gzip

import msgspec

from cryptowatcher.testing.misbehaviour.model import Answer, Misbehaviour, Scene, kind
from cryptowatcher.testing.misbehaviour.refusals import RATE_LIMIT, html, refusal
from cryptowatcher.testing.wire import Reply, Sending


def _sent(answer: Answer, sending: Sending, **more: float) -> Answer:
    return Answer(msgspec.structs.replace(answer.closed(), sending=sending, **more))


@kind
def slow(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The answer comes whole, `value` (30) seconds late."""
    return _sent(answer, Sending.WHOLE, delay=how.number(30))


@kind
def drip(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """One byte each `value` (1) seconds."""
    return _sent(answer, Sending.DRIP, pause=how.number(1))


@kind
def hang(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """No answer ever; the connection stays open."""
    return _sent(answer, Sending.HANG)


@kind
def cut_before_headers(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The connection closes without a byte."""
    return _sent(answer, Sending.CLOSE)


@kind
def reset(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The connection is reset without a byte."""
    return _sent(answer, Sending.RESET)


@kind
def cut_in_headers(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The connection closes inside the headers."""
    return _sent(answer, Sending.CUT_HEAD)


@kind
def cut_in_body(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The connection closes half-way through the body."""
    return _sent(answer, Sending.CUT_BODY)


@kind
def garbage(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """Bytes that are not HTTP."""
    return Answer(Reply(body=scene.random.randbytes(512) + b"\r\n\r\n", sending=Sending.RAW))


def _body(answer: Answer, body: bytes, content_type: str = "application/json") -> Answer:
    return Answer(Reply(headers=(("Content-Type", content_type),), body=body))


@kind
def truncated_json(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """200, complete as HTTP, but the JSON ends half-way."""
    body = answer.closed().body
    return _body(answer, body[: len(body) // 2])


@kind
def html_200(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """200 with an HTML page."""
    return html(200, "We will be back soon")


@kind
def error_200(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """200 with an error envelope."""
    return refusal(200, 429, RATE_LIMIT)


@kind
def empty_body(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """200 with no body at all."""
    return _body(answer, b"")


@kind
def empty_object(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """200 with `{}`."""
    return _body(answer, b"{}")


@kind
def empty_list(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """200 with `[]`."""
    return _body(answer, b"[]")


@kind
def nested(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """200 with 100,000 opening brackets."""
    return _body(answer, b"[" * 100_000)


@kind
def huge(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """200 with a JSON string of `value` (10) MB."""
    return _body(answer, b'"' + b"x" * int(how.number(10) * 1_000_000) + b'"')


@kind
def gzip_bomb(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """200 with a small gzip body that unpacks to `value` (100) MB."""
    blocks = int(how.number(100))
    block = gzip.compress(b" " * 1_000_000, compresslevel=9, mtime=0)
    bomb = _body(answer, block * blocks)  # gzip members one after another are one stream
    return Answer(bomb.reply.with_headers(("Content-Encoding", "gzip")))


@kind
def frozen(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The first body for ever, time stamps and all."""
    key = scene.request.path + repr(sorted(scene.request.query.items()))
    kept: Answer = scene.memory.setdefault(key, Answer(answer.closed()))
    return kept
