"""The one outbound HTTP client: a deadline over everything, a cap on the body, errors translated once.

- The deadline covers the wait for a connection, DNS, connect, TLS, sending, headers and the whole body,
  so neither a server that hangs nor one that sends a byte a second holds a caller longer than it said.
- `max_bytes` caps the body as it arrives and as it decompresses: a bomb is never unpacked.
- Redirects are not followed: a 3xx is an answer like any other. Cookies are never kept.
- Proxies come from the standard variables (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY) and from nowhere
  else; this machine itself (localhost, 127.0.0.1, ::1) is always asked directly.
- Where it is told to (`outbound`), it asks no private address: a name is looked up once, all its addresses are
  judged, and the connection goes to the address that was judged, so that no second look-up can lead elsewhere.
- No message names more of an address than its host: paths and queries can hold secrets.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import version
from typing import Final
from urllib.parse import urlsplit

import httpx
import msgspec

from cryptowatcher.domain.addresses import Address, Outbound, may_use, parse_address
from cryptowatcher.errors import ConfigError, Refused, Unavailable
from cryptowatcher.ports import Resolve

USER_AGENT: Final = f"cryptowatcher/{version('cryptowatcher')} (+https://github.com/cryptowatcher/cryptowatcher)"
MOST_ANSWER: Final = 1_000_000
"""Bytes of the answer to a message: little is done with them, but an answer cut short is no answer."""
LONGEST_WAIT: Final = 3600.0
"""Seconds: what a Retry-After is cut to. Nobody means ten years."""

_NOT_NOW: Final = {408: "timeout", 409: "conflict", 425: "too_early", 429: "rate_limited"}
_NO: Final = {401: "unauthorized", 403: "unauthorized", 404: "not_found", 410: "gone"}
_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=15.0)
_DIRECT = ("all://localhost", "all://127.0.0.1", "all://[::1]")
_FAULTS = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.CookieConflict,
    httpx.StreamError,
    OSError,  # what httpx lets through, for example an ssl.SSLError in the middle of a body
    UnicodeError,  # a host name that cannot be written in DNS
)


class Answer(msgspec.Struct, frozen=True):
    """What came back, whatever the status. Header names are lower-case; `body` is decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class FormFile(msgspec.Struct, frozen=True):
    """field: of the form; name: of the file; type: of its content"""

    field: str
    name: str
    content: bytes
    type: str


class Http:
    """Asks. Safe to share between tasks."""

    def __init__(
        self, client: httpx.AsyncClient, outbound: Outbound | None = None, resolve: Resolve | None = None
    ) -> None:
        self._client = client
        self._outbound = outbound
        self._resolve = resolve
        self._host = ""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        deadline: float,
        max_bytes: int,
    ) -> Answer:
        """One request and its whole answer within `deadline` seconds and `max_bytes` bytes of body.

        Raises Unavailable with reason `timeout`, `dns`, `connect`, `tls`, `proxy`, `cut`, `protocol`,
        `bad_encoding`, `too_large` or `client_fault`; Refused with `bad_url`, `bad_request` or
        `forbidden_address`.
        """
        address = _address(url)
        try:
            request = self._client.build_request(
                method, address, headers=headers, content=content, timeout=_timeout(deadline)
            )
        except UnicodeError as error:
            raise Refused(f"{address.host}: a header is not plain text", reason="bad_request") from error
        try:
            async with asyncio.timeout(deadline):
                if self._outbound is not None:
                    self._one_host(address.host)
                    await pin(request, self._outbound, self._resolve)
                response = await self._client.send(request, stream=True)
                async with aclosing(response):
                    body = await _body(response, max_bytes)
        except TimeoutError as error:
            raise Unavailable(f"{address.host}: no answer within {deadline:g} s", reason="timeout") from error
        except _FAULTS as error:
            raise translate(error, address.host) from error
        return Answer(response.status_code, dict(response.headers), body)

    async def post_json(
        self, url: str, content: object, *, headers: Mapping[str, str] | None = None, deadline: float
    ) -> Answer:
        """A message in JSON, and its answer. As `request`."""
        return await self.request(
            "POST",
            url,
            headers={"content-type": "application/json", **(headers or {})},
            content=msgspec.json.encode(content),
            deadline=deadline,
            max_bytes=MOST_ANSWER,
        )

    async def post_form(self, url: str, fields: Mapping[str, str], file: FormFile, *, deadline: float) -> Answer:
        """A message as a form with a file, and its answer. As `request`."""
        named = {file.field: (file.name, file.content, file.type)}
        form = httpx.Request("POST", _address(url), data=dict(fields), files=named)
        return await self.request(
            "POST",
            url,
            headers={"content-type": form.headers["content-type"]},
            content=form.read(),
            deadline=deadline,
            max_bytes=MOST_ANSWER,
        )

    def _one_host(self, host: str) -> None:
        """Connections are kept by address here: two names of one address would share a connection, and the second
        one's certificate would never be looked at."""
        self._host = self._host or host
        if self._host != host:
            raise RuntimeError("a client that judges addresses is for one host")


@asynccontextmanager
async def open_http(
    *, user_agent: str = USER_AGENT, outbound: Outbound | None = None, resolve: Resolve | None = None
) -> AsyncIterator[Http]:
    """A client for one part of the program. `outbound`: what it may reach; None: everything, for addresses that
    only the operator names. `resolve`: who knows the addresses of names that are judged; None: this machine.
    ConfigError when the proxy that the environment names is unusable."""
    await _load()
    nothing_kept = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    try:
        client = httpx.AsyncClient(
            headers={"user-agent": user_agent, "accept-encoding": "gzip"},
            cookies=nothing_kept,
            timeout=None,  # noqa: S113  each request has its own deadline
            limits=_LIMITS,
            follow_redirects=False,
            verify=_trusted(),
            mounts=dict.fromkeys(_DIRECT),
        )
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        hint = "check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY; proxies are http:// or https:// URLs"
        raise ConfigError("the proxy named by the environment cannot be used", hint=hint) from error
    async with client:
        yield Http(client, outbound, resolve)


async def pin(request: httpx.Request, outbound: Outbound, resolve: Resolve | None = None) -> None:
    """Make a request go to an address that was judged. The host stays what it was for the other side: in its Host
    header, and for TLS."""
    url = request.url
    # As it goes over the wire: in other letters it may be another name to whoever looks it up.
    host = url.raw_host.decode("ascii")
    if url.userinfo or not may_use((443 if url.scheme == "https" else 80) if url.port is None else url.port):
        raise Refused(f"{host}: not an address that may be asked", reason="bad_url")
    found = await look_up(host, outbound, resolve)
    request.extensions = dict(request.extensions) | {"sni_hostname": host}
    request.url = url.copy_with(host=str(found))


async def look_up(host: str, outbound: Outbound, resolve: Resolve | None = None) -> Address:
    """An address of a name (or the address that it is). Refused when one of its addresses may not be asked."""
    try:
        addresses = [parse_address(host)]
    except ValueError:
        addresses = [parse_address(each) for each in await (resolve or addresses_of)(host)]
    if not addresses or not all(map(outbound.allows, addresses)):
        # Which of them, and where it leads, is nothing to tell whoever typed the name.
        raise Refused(f"{host}: leads into a private network", reason="forbidden_address")
    return addresses[0]


async def addresses_of(host: str) -> Sequence[str]:
    """A ports.Resolve: what this machine knows. OSError when it knows none."""
    # The port plays no part: only names are looked up.
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


async def _load() -> None:
    """What httpx would only load in its first request: that takes 100 ms, and an alert would wait for it."""
    from anyio.lowlevel import checkpoint

    await checkpoint()


@cache
def _trusted() -> ssl.SSLContext:
    """Reading the certificates of the world takes 50 ms and 2 MB: once for all clients."""
    return httpx.create_ssl_context()


def _timeout(deadline: float) -> httpx.Timeout:
    """A TLS handshake that hangs is ended by httpcore, just before the deadline: when it is cancelled instead,
    httpcore forgets to close the socket."""
    return httpx.Timeout(None, connect=0.9 * deadline)


async def _body(response: httpx.Response, max_bytes: int) -> bytes:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return await _plain(response, max_bytes)
    if encoding in ("gzip", "x-gzip"):
        return await _unzipped(response, max_bytes)
    raise Unavailable(f"{response.url.host}: an encoding that was not asked for", reason="bad_encoding")


async def _plain(response: httpx.Response, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > max_bytes:
            raise _too_large(response, max_bytes)
    return bytes(body)


async def _unzipped(response: httpx.Response, max_bytes: int) -> bytes:
    """zlib is told how much it may produce, so 1 KB that stands for 1 GB costs `max_bytes` at most."""
    body = bytearray()
    unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    arrived = False
    async for chunk in response.aiter_raw():
        arrived = arrived or bool(chunk)
        try:
            body += unzip.decompress(chunk, max_bytes + 1 - len(body))
        except zlib.error as error:
            raise Unavailable(f"{response.url.host}: damaged gzip", reason="bad_encoding") from error
        if len(body) > max_bytes:
            raise _too_large(response, max_bytes)
        if unzip.unused_data:
            raise Unavailable(f"{response.url.host}: bytes after the end of gzip", reason="bad_encoding")
    if arrived and not unzip.eof:
        raise Unavailable(f"{response.url.host}: the compressed answer was cut", reason="cut")
    return bytes(body)


def _too_large(response: httpx.Response, max_bytes: int) -> Unavailable:
    return Unavailable(f"{response.url.host}: more than {max_bytes:,} bytes", reason="too_large")


def _address(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url)
        host = address.host  # a name that begins like one in other letters is only read here
    except (httpx.InvalidURL, UnicodeError) as error:
        raise translate(error, "the address") from error
    if address.scheme not in ("http", "https") or not host or (address.port or 0) > 65535:
        raise Refused("not an http or https address", reason="bad_url")
    return address


def can_be_asked(url: str) -> bool:
    """Whether it is a whole http or https URL. For a configuration, before anything is asked."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that does not close
        return False


def translate(error: Exception, host: str) -> Unavailable | Refused:
    """An exception of httpx, or one that it lets through, as one of ours. The sentence is our own:
    the library's may quote the URL."""
    match error:
        case httpx.InvalidURL() | httpx.UnsupportedProtocol() | UnicodeError():
            return Refused(f"{host}: not an address that can be asked", reason="bad_url")
        case httpx.LocalProtocolError():
            return Refused(f"{host}: the request cannot be sent as HTTP", reason="bad_request")
        case httpx.TimeoutException():
            return Unavailable(f"{host}: no answer in time", reason="timeout")
        case httpx.ProxyError():
            return Unavailable(f"{host}: the proxy did not pass the request on", reason="proxy")
        case httpx.DecodingError():
            return Unavailable(f"{host}: damaged compression", reason="bad_encoding")
        case httpx.RemoteProtocolError():
            return _broken_http(error, host)
        case httpx.NetworkError() | OSError():
            return _network(error, host)
        case _:
            return Unavailable(f"{host}: the HTTP client failed ({type(error).__name__})", reason="client_fault")


def _broken_http(error: httpx.RemoteProtocolError, host: str) -> Unavailable:
    # h11 and httpcore have one class for "went away" and "spoke nonsense"; only the words differ.
    if re.search("closed|disconnected", str(error)):
        return Unavailable(f"{host}: the connection ended before the answer did", reason="cut")
    return Unavailable(f"{host}: the answer is not HTTP", reason="protocol")


def _network(error: Exception, host: str) -> Unavailable:
    causes = list(_causes(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return Unavailable(f"{host}: the name cannot be looked up", reason="dns")
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return Unavailable(f"{host}: no trustworthy TLS connection", reason="tls")
    if isinstance(error, httpx.ConnectError):
        return Unavailable(f"{host}: cannot connect", reason="connect")
    return Unavailable(f"{host}: the connection broke", reason="cut")


def _causes(error: BaseException | None) -> list[BaseException]:
    """The error, and everything it was made from: httpcore cuts the chain of causes and keeps the original
    as its argument, anyio puts several attempts into a group."""
    if error is None:
        return []
    parts = list(error.exceptions) if isinstance(error, BaseExceptionGroup) else []
    parts += [part for part in error.args if isinstance(part, BaseException)]
    return [error, *_causes(error.__cause__), *(cause for part in parts for cause in _causes(part))]


def receipt(answer: Answer, *, now: int) -> str:
    """What the answer to a message means: a receipt, Unavailable or Refused.

    2xx                    accepted
    3xx                    not now: redirects are not followed, the owner should correct the address
    408 409 425 429 5xx    not now, and not before Retry-After
    other 4xx              refused: the same request would be refused again
    """
    status = answer.status
    words = f"HTTP {status}"
    if 200 <= status < 300:
        return words
    if 400 <= status < 500 and status not in _NOT_NOW:
        raise Refused(words, reason=_NO.get(status, "client_error"))
    if 300 <= status < 400:
        raise Unavailable(f"{words}: redirects are not followed", reason="redirect")
    reason = _NOT_NOW.get(status, "server_error")
    raise Unavailable(words, reason=reason, retry_after=retry_after(answer.headers, now))


def retry_after(headers: Mapping[str, str], now_ms: int) -> float | None:
    """Seconds that a Retry-After header asks for, 0 to LONGEST_WAIT; None when absent or not understood.

    A date is measured against the answer's own Date where there is one, so our clock may be wrong."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text, re.ASCII):
        return min(float(text), LONGEST_WAIT)
    until = _http_date(text)
    if until is None:
        return None
    now = _http_date(headers.get("date", "")) or datetime.fromtimestamp(now_ms / 1000, UTC)
    return min(max((until - now).total_seconds(), 0.0), LONGEST_WAIT)


def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
