"""CoinGecko's ways of saying no, as one of our errors each.

Errors come as `{"status": …}`, `{"error": {"status": …}}`, `{"error": "text"}`, HTML of a CDN, or plain text,
and sometimes under status 200. The status decides; the body only makes it more precise.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from cryptowatcher.adapters.http import Answer, retry_after
from cryptowatcher.errors import Refused, Unavailable

_BANNED = re.compile(rb"error\s*(code)?:?\s*(<[^>]*>\s*)*1015", re.IGNORECASE)
_USER_AGENT = re.compile(rb"user-?\s?agent", re.IGNORECASE)
_LOOKED_AT = 65_536
"""Bytes of a body that is not an answer in which a reason is looked for."""

_BY_CODE: Final = {
    10002: ("bad_key", "it wants an API key: name one with key_file or key_variable, and set plan"),
    10005: ("plan", "the plan of this key does not include that"),
    10010: ("wrong_host", 'a paid key belongs to plan = "paid" and pro-api.coingecko.com'),
    10011: ("wrong_host", 'a demo key belongs to plan = "demo" and api.coingecko.com'),
    10012: ("plan", "the plan of this key does not reach back that far"),
}
_REFUSED: Final = {
    400: ("bad_request", "it does not understand the request: check currency and ids"),
    401: ("bad_key", "it does not accept the API key"),
    402: ("plan", "the plan of this key does not include that"),
    404: ("not_found", "nothing is there: check base_url"),
    422: ("bad_request", "it does not understand the request: check currency and ids"),
    451: ("geo_blocked", "it does not serve this country"),
}


class Complaint(msgspec.Struct, frozen=True):
    """What an error body says. `code` 0: none."""

    code: int
    message: str


def failure(answer: Answer, now: int) -> Unavailable | Refused:
    """What an answer whose status is not 200 means. `now` in epoch ms."""
    status, body = answer.status, answer.body[:_LOOKED_AT]
    said = complaint(_parsed(answer.body)) or Complaint(0, "")
    asked = retry_after(answer.headers, now)
    if said.code in _BY_CODE:
        return _refused(*_BY_CODE[said.code], status)
    if status == 418 or said.code == 1015 or _BANNED.search(body):
        return Unavailable(_text(status, "this address is banned for a while"), reason="banned", retry_after=asked)
    if status == 403:
        return _forbidden(body, asked)
    if status == 429 or said.code == 429:
        return Unavailable(_text(status, "too many calls"), reason="rate_limited", retry_after=asked)
    if status in _REFUSED:
        return _refused(*_REFUSED[status], status)
    return Unavailable(_text(status, said.message), reason=_passing(status), retry_after=asked)


def said_with_200(said: Complaint) -> Unavailable | Refused:
    """An error that came dressed as an answer."""
    if said.code in _BY_CODE:
        return _refused(*_BY_CODE[said.code], 200)
    if said.code == 429:
        return Unavailable(_text(200, "too many calls"), reason="rate_limited")
    return Unavailable(_text(200, said.message or "an error"), reason="error_in_200")


def not_prices(body: bytes) -> Unavailable:
    """A page for people, or nonsense, under status 200."""
    start = body[:_LOOKED_AT]
    if _BANNED.search(start):
        return Unavailable(_text(200, "this address is banned for a while"), reason="banned")
    if start.strip().lower() == b"throttled":
        return Unavailable(_text(200, "too many calls"), reason="rate_limited")
    if not start.strip():
        return Unavailable(_text(200, "nothing"), reason="empty")
    if start.lstrip()[:1] in (b"[", b"{") and body.rstrip()[-1:] not in (b"]", b"}"):
        return Unavailable(_text(200, "half of an answer"), reason="truncated")
    return Unavailable(_text(200, "something that is not JSON"), reason="not_json")


def complaint(parsed: object) -> Complaint | None:
    """The error in a decoded body, if it is one. A coin may be called `status` or `error`: what counts is
    whether the thing of that name is an error."""
    if not isinstance(parsed, dict):
        return None
    inner = parsed.get("error")
    if isinstance(inner, str):
        return Complaint(0, _plain(inner))
    for place in (parsed, parsed.get("status"), inner, inner.get("status") if isinstance(inner, dict) else None):
        if isinstance(place, dict) and ("error_code" in place or "error_message" in place):
            return Complaint(_code(place.get("error_code")), _plain(place.get("error_message")))
    return None


def _forbidden(body: bytes, asked: float | None) -> Unavailable:
    if _USER_AGENT.search(body):
        message = "it wants a descriptive User-Agent; something on the way may have removed ours"
        return Unavailable(_text(403, message), reason="user_agent", retry_after=asked)
    return Unavailable(_text(403, "forbidden for now"), reason="forbidden", retry_after=asked)


def _refused(reason: str, message: str, status: int) -> Refused:
    return Refused(_text(status, message), reason=reason)


def _passing(status: int) -> str:
    if status == 408:
        return "timeout"
    if status >= 500:
        return "server_error"
    return "redirected" if 300 <= status < 400 else "unexpected_status"


def _text(status: int, message: str) -> str:
    return f"CoinGecko answered {status}: {message}" if message else f"CoinGecko answered {status}"


def _code(raw: object) -> int:
    """Codes come as numbers and as text."""
    text = f"{raw:.0f}" if isinstance(raw, float) else str(raw)
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) else 0


def _plain(raw: object) -> str:
    """One short printable line of what the other side wrote."""
    text = raw if isinstance(raw, str) else ""
    return "".join(letter if letter.isprintable() else " " for letter in text[:200]).strip()


def _parsed(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
