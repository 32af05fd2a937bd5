"""Answers that are not 200, in every shape that has been seen."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

from cryptowatcher.testing.misbehaviour.model import Answer, Misbehaviour, Scene, kind
from cryptowatcher.testing.wire import Reply, json_reply

RATE_LIMIT = "You've exceeded the Rate Limit. Please visit https://www.coingecko.com/en/api/pricing to subscribe."


def envelope(code: int, message: str) -> dict[str, Any]:
    return {"status": {"error_code": code, "error_message": message}}


def too_many(*headers: tuple[str, str]) -> Answer:
    return Answer(json_reply(envelope(429, RATE_LIMIT), status=429, headers=headers))


def html(status: int, text: str) -> Answer:
    page = f"<!DOCTYPE html><html><head><title>{text}</title></head><body><h1>{text}</h1></body></html>"
    return Answer(Reply(status=status, headers=(("Content-Type", "text/html"),), body=page.encode()))


def refusal(status: int, code: int, message: str) -> Answer:
    return Answer(json_reply(envelope(code, message), status=status))


@kind
def rate_limited(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """429 without Retry-After."""
    return too_many()


@kind
def rate_limited_seconds(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """429 with Retry-After in seconds (value, 60)."""
    return too_many(("Retry-After", f"{how.number(60):g}"))


@kind
def rate_limited_date(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """429 with Retry-After as an HTTP date, `value` (60) seconds ahead."""
    return too_many(("Retry-After", formatdate(scene.request.at / 1000 + how.number(60), usegmt=True)))


@kind
def rate_limited_absurd(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """429 with Retry-After of ten years (or value seconds)."""
    return too_many(("Retry-After", f"{how.number(315_360_000):.0f}"))


@kind
def rate_limited_garbage(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """429 with a Retry-After that is no number and no date."""
    return too_many(("Retry-After", "soon-ish"))


@kind
def throttled(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """429 with the plain text `Throttled`."""
    return Answer(Reply(status=429, headers=(("Content-Type", "text/plain"),), body=b"Throttled"))


@kind
def banned(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """429 with an HTML page `error code: 1015`: this address is banned for a while."""
    return html(429, "error code: 1015")


@kind
def firewalled(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """403 with an HTML page `error code: 1020`: the firewall does not like this request."""
    return html(403, "error code: 1020")


@kind
def no_user_agent(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """403 that asks for a descriptive User-Agent, whatever the client sent."""
    return refusal(403, 403, "Please add a descriptive User-Agent to your request")


@kind
def switched_off(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """403 that says the endpoint is temporarily unavailable."""
    return refusal(403, 403, "This endpoint is temporarily unavailable due to ongoing issues")


@kind
def bad_key(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """401 with code 10002 (key missing or unknown), or the code in value: 10005, 10010, 10011, 10012."""
    return unauthorised(int(how.number(10002)))


@kind
def request_timeout(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """408, which the vendor documents."""
    return refusal(408, 408, "Request Timeout")


@kind
def unprocessable(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """422 with `{"error": …}`."""
    return Answer(json_reply({"error": "Unprocessable Entity"}, status=422))


@kind
def server_error(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """500 with an HTML page."""
    return html(500, "500 Internal Server Error")


@kind
def unavailable(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """503 with an HTML page; Retry-After when value (seconds) is given."""
    page = html(503, "503 Service Unavailable")
    if how.value is None:
        return page
    return Answer(page.reply.with_headers(("Retry-After", f"{how.value:g}")))


@kind
def redirect_loop(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """301 to itself."""
    return Answer(Reply(status=301, headers=(("Location", scene.url),)))


_KEY_TROUBLE = {
    10002: "API Key Missing",
    10005: "This request is limited to PRO API subscribers.",
    10010: "If you are using a Pro API key, please change your root URL to pro-api.coingecko.com",
    10011: "If you are using a Demo API key, please change your root URL to api.coingecko.com",
    10012: "Your request exceeds the allowed time range: the past 365 days.",
}


def unauthorised(code: int) -> Answer:
    """401; the body of 10012 lies one level deeper, as it has been seen."""
    body = envelope(code, _KEY_TROUBLE.get(code, "Unauthorized"))
    return Answer(json_reply({"error": body} if code == 10012 else body, status=401))
