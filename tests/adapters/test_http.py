from __future__ import annotations

import asyncio
import gzip
import inspect
import subprocess
import sys
import tracemalloc
import zlib

import httpx
import pytest

from cryptowatcher.adapters.http import LONGEST_WAIT, Answer, open_http, retry_after, translate
from cryptowatcher.errors import ConfigError, Refused, Unavailable
from tests.adapters.loopback import Behaviour, Request, answering, listening, raw, serving

SECRET = "hunter2"
Writer = asyncio.StreamWriter


def ask(behave: Behaviour, *, deadline: float = 5.0, max_bytes: int = 10_000, path: str = "/") -> Answer:
    async def main() -> Answer:
        async with serving(behave) as server, open_http() as http:
            return await http.request("GET", server.url + path, deadline=deadline, max_bytes=max_bytes)

    return asyncio.run(main())


def reason(behave: Behaviour, *, deadline: float = 30.0, max_bytes: int = 10_000) -> str:
    path = f"/{SECRET}?key={SECRET}"
    with pytest.raises(Unavailable) as caught:
        ask(behave, deadline=deadline, max_bytes=max_bytes, path=path)
    assert SECRET not in str(caught.value)
    return caught.value.reason


def test_an_answer_is_its_status_its_lower_case_headers_and_its_body() -> None:
    answer = ask(answering(418, b"short and stout", {"X-Pot": "tea", "X-Many": "1"}))
    assert (answer.status, answer.headers["x-pot"], answer.body) == (418, "tea", b"short and stout")


def test_requests_carry_a_descriptive_user_agent_the_given_headers_and_the_content() -> None:
    async def main() -> Request:
        async with serving(answering(200, b"")) as server, open_http() as http:
            await http.request(
                "POST", server.url, headers={"X-Key": "k"}, content=b"body", deadline=5, max_bytes=10
            )
            return server.requests[0]

    request = asyncio.run(main())
    assert request.headers["user-agent"].startswith("cryptowatcher/")
    assert "(+https://" in request.headers["user-agent"]
    assert (request.method, request.headers["x-key"], request.body) == ("POST", "k", b"body")


def test_a_body_of_exactly_the_cap_passes_and_one_byte_more_does_not() -> None:
    for headers, packed in ((None, bytes), ({"content-encoding": "gzip"}, gzip.compress)):
        whole, more = packed(b"x" * 1000), packed(b"x" * 1001)
        assert len(ask(answering(200, whole, headers), max_bytes=1000).body) == 1000
        assert reason(answering(200, more, headers), max_bytes=1000) == "too_large"


def test_an_endless_body_ends_at_the_cap() -> None:
    async def behave(request: Request, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
            await writer.drain()

    assert reason(behave) == "too_large"


def test_a_gzip_bomb_is_not_unpacked() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(64)) + packer.flush()
    assert len(bomb) < 100_000
    tracemalloc.start()
    try:
        assert reason(answering(200, bomb, {"content-encoding": "gzip"})) == "too_large"
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_damaged_unknown_and_cut_compression_are_told_apart() -> None:
    whole = gzip.compress(b"x" * 100)
    assert ask(answering(200, whole, {"content-encoding": "GZIP"})).body == b"x" * 100
    assert ask(answering(204, b"", {"content-encoding": "gzip"})).body == b""
    assert reason(answering(200, b"junk", {"content-encoding": "gzip"})) == "bad_encoding"
    assert reason(answering(200, whole + b"more", {"content-encoding": "gzip"})) == "bad_encoding"
    assert reason(answering(200, whole, {"content-encoding": "br"})) == "bad_encoding"
    assert reason(answering(200, whole[:-9], {"content-encoding": "gzip"})) == "cut"


async def hang(request: Request, writer: Writer) -> None:
    await asyncio.Event().wait()


async def hang_in_the_headers(request: Request, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-le")
    await asyncio.Event().wait()


async def slow_loris(request: Request, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.01)


async def only_informational(request: Request, writer: Writer) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("behave", [hang, hang_in_the_headers, slow_loris, only_informational])
def test_the_deadline_covers_everything(behave: Behaviour) -> None:
    assert reason(behave, deadline=0.1) == "timeout"


def test_a_server_that_accepts_and_then_is_silent_runs_into_the_deadline() -> None:
    async def main() -> None:
        async def silent(reader: asyncio.StreamReader, writer: Writer) -> None:
            await reader.read()

        async with listening(silent) as address, open_http() as http:
            for scheme in ("http", "https"):  # https: the silence falls into the TLS handshake
                with pytest.raises(Unavailable) as caught:
                    await http.request("GET", f"{scheme}://{address}/", deadline=0.1, max_bytes=10)
                assert caught.value.reason == "timeout"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"", "cut"),
        (b"HTTP/1.1 200 OK\r\ncont", "cut"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", "cut"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\nhalf", "cut"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 40_000, "protocol"),
    ],
)
def test_a_cut_connection_and_broken_http_are_unavailable(sent: bytes, expected: str) -> None:
    async def behave(request: Request, writer: Writer) -> None:
        writer.write(sent)
        raise ConnectionError  # closes

    assert reason(behave) == expected


def test_a_reset_in_the_middle_of_the_body_is_a_cut() -> None:
    async def behave(request: Request, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        await writer.drain()
        writer.transport.abort()

    assert reason(behave) == "cut"


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async def main() -> None:
        async with serving(answering(301, b"", {"location": "/again"})) as server, open_http() as http:
            answer = await http.request("GET", server.url, deadline=5, max_bytes=10)
            assert (answer.status, answer.headers["location"]) == (301, "/again")
            assert len(server.requests) == 1

    asyncio.run(main())


def test_cookies_are_never_sent_back() -> None:
    async def main() -> None:
        async with serving(answering(200, b"", {"set-cookie": "a=b; Path=/"})) as server, open_http() as http:
            for _ in range(2):
                await http.request("GET", server.url, deadline=5, max_bytes=10)
            assert all("cookie" not in request.headers for request in server.requests)

    asyncio.run(main())


def test_a_server_that_went_away_between_two_requests_is_asked_on_a_new_connection() -> None:
    async def behave(request: Request, writer: Writer) -> None:
        writer.write(raw(200, b"fine"))
        await writer.drain()
        raise ConnectionError  # closes, though it never said so

    async def main() -> None:
        async with serving(behave) as server, open_http() as http:
            for _ in range(3):
                answer = await http.request("GET", server.url, deadline=5, max_bytes=10)
                assert answer.body == b"fine"

    asyncio.run(main())


def test_many_that_ran_into_the_deadline_leave_the_client_usable() -> None:
    async def behave(request: Request, writer: Writer) -> None:
        if request.path == "/hang":
            await asyncio.Event().wait()
        writer.write(raw(200, b"fine"))

    async def main() -> None:
        async with serving(behave) as server, open_http() as http:
            calls = [http.request("GET", server.url + "/hang", deadline=0.2, max_bytes=10) for _ in range(150)]
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert {r.reason for r in results if isinstance(r, Unavailable)} == {"timeout"}
            assert len(results) == 150
            answer = await http.request("GET", server.url, deadline=5, max_bytes=10)
            assert answer.body == b"fine"

    asyncio.run(main())


def test_cancelling_the_caller_is_not_an_error_of_the_server() -> None:
    async def main() -> None:
        asked = asyncio.Event()

        async def behave(request: Request, writer: Writer) -> None:
            asked.set()
            await asyncio.Event().wait()

        async with serving(behave) as server, open_http() as http:
            call = asyncio.create_task(http.request("GET", server.url, deadline=30, max_bytes=10))
            await asked.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    asyncio.run(main())


def fails(url: str, headers: dict[str, str] | None = None) -> Unavailable | Refused:
    async def main() -> None:
        async with open_http() as http:
            await http.request("GET", url, headers=headers, deadline=5, max_bytes=10)

    with pytest.raises((Unavailable, Refused)) as caught:
        asyncio.run(main())
    assert SECRET not in str(caught.value)
    assert isinstance(caught.value, Unavailable | Refused)
    return caught.value


def test_nobody_listening_no_such_name_and_no_tls_are_told_apart() -> None:
    assert fails(f"http://127.0.0.1:1/{SECRET}").reason == "connect"
    assert fails(f"http://{'a' * 70}.example/{SECRET}").reason == "dns"

    async def main() -> None:
        async def plain(reader: asyncio.StreamReader, writer: Writer) -> None:
            writer.write(b"220 mail.example ready\r\n")
            await reader.read()

        async with listening(plain) as address, open_http() as http:
            with pytest.raises(Unavailable) as caught:
                await http.request("GET", f"https://{address}/", deadline=5, max_bytes=10)
            assert caught.value.reason == "tls"

    asyncio.run(main())


@pytest.mark.parametrize(
    "url",
    [
        "",
        SECRET,
        f"ftp://x/{SECRET}",
        "http://",
        "http://[::1",
        "http://x:99999/",
        "http://\udcff/",
        "http:///x",
        "http://xn--/",
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    error = fails(url)
    assert isinstance(error, Refused)
    assert error.reason == "bad_url"


def test_a_header_that_cannot_be_sent_is_refused() -> None:
    assert fails("http://127.0.0.1:1/", {"x": f"{SECRET}é"}).reason == "bad_request"

    async def main() -> None:
        async with serving(answering(200, b"")) as server, open_http() as http:
            with pytest.raises(Refused) as caught:
                await http.request("GET", server.url, headers={"x": f"{SECRET}\nx"}, deadline=5, max_bytes=10)
            assert caught.value.reason == "bad_request"
            assert SECRET not in str(caught.value)

    asyncio.run(main())


REASONS = {
    httpx.InvalidURL: "bad_url",
    httpx.UnsupportedProtocol: "bad_url",
    httpx.LocalProtocolError: "bad_request",
    httpx.TimeoutException: "timeout",
    httpx.ConnectTimeout: "timeout",
    httpx.ReadTimeout: "timeout",
    httpx.WriteTimeout: "timeout",
    httpx.PoolTimeout: "timeout",
    httpx.ProxyError: "proxy",
    httpx.DecodingError: "bad_encoding",
    httpx.RemoteProtocolError: "protocol",
    httpx.NetworkError: "cut",
    httpx.ReadError: "cut",
    httpx.WriteError: "cut",
    httpx.CloseError: "cut",
    httpx.ConnectError: "connect",
    httpx.HTTPError: "client_fault",
    httpx.RequestError: "client_fault",
    httpx.TransportError: "client_fault",
    httpx.ProtocolError: "client_fault",
    httpx.HTTPStatusError: "client_fault",
    httpx.TooManyRedirects: "client_fault",
    httpx.CookieConflict: "client_fault",
    httpx.StreamError: "client_fault",
    httpx.StreamConsumed: "client_fault",
    httpx.StreamClosed: "client_fault",
    httpx.ResponseNotRead: "client_fault",
    httpx.RequestNotRead: "client_fault",
}


def test_every_exception_of_httpx_has_a_reason_and_loses_its_own_words() -> None:
    every = {kind for _, kind in inspect.getmembers(httpx, inspect.isclass) if issubclass(kind, Exception)}
    assert every == set(REASONS)
    url = f"https://example.org/{SECRET}"
    for kind, expected in REASONS.items():
        if kind is httpx.HTTPStatusError:
            error: Exception = httpx.HTTPStatusError(
                url, request=httpx.Request("GET", url), response=httpx.Response(500)
            )
        else:
            error = kind(url) if inspect.signature(kind).parameters else kind()
        translated = translate(error, "example.org")
        assert translated.reason == expected, kind
        assert isinstance(translated, Refused) == expected.startswith(("bad_url", "bad_request")), kind
        assert SECRET not in str(translated)


def test_this_machine_is_asked_directly_and_others_through_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async with serving(answering(200, b"proxied")) as proxy, serving(answering(200, b"direct")) as server:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            monkeypatch.delenv("NO_PROXY", raising=False)
            monkeypatch.delenv("no_proxy", raising=False)
            async with open_http() as http:
                near = await http.request("GET", server.url, deadline=5, max_bytes=10)
                far = await http.request("GET", "http://prices.example/x", deadline=5, max_bytes=10)
            assert (near.body, far.body) == (b"direct", b"proxied")
            assert [request.target for request in proxy.requests] == ["http://prices.example/x"]

    asyncio.run(main())


def test_a_proxy_that_cannot_be_used_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:70")

    async def main() -> None:
        async with open_http():
            pass

    with pytest.raises(ConfigError, match="proxy"):
        asyncio.run(main())


NOW = 1_621_086_143_000  # Sat, 15 May 2021 13:42:23 GMT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("60", 60.0),
        (" 119 ", 119.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("315360000", LONGEST_WAIT),
        ("9" * 5000, LONGEST_WAIT),
        ("-5", None),
        ("", None),
        ("soon", None),
        ("inf", None),
        ("nan", None),
        ("1e5", None),
        ("60, 60", None),
        ("١٢", None),
        ("Sat, 15 May 2021 13:43:23 GMT", 60.0),
        ("Saturday, 15-May-21 13:43:23 GMT", 60.0),
        ("Sat, 15 May 2021 13:43:23", 60.0),
        ("Sat, 15 May 2021 13:00:00 GMT", 0.0),
        ("Mon, 15 May 2031 13:00:00 GMT", LONGEST_WAIT),
        ("Sat, 99 May 2021 13:43:23 GMT", None),
        ("Sat, 15 May 99999999999 13:43:23 GMT", None),
        ("Sat, 15 May 2021 13:43:23 +9999999999", None),
    ],
)
def test_retry_after_in_every_form_it_takes(text: str, expected: float | None) -> None:
    assert retry_after({"retry-after": text}, NOW) == expected


def test_retry_after_may_be_absent() -> None:
    assert retry_after({}, NOW) is None


def test_a_retry_date_counts_from_the_servers_own_clock() -> None:
    headers = {"retry-after": "Sat, 15 May 2021 13:43:23 GMT", "date": "Sat, 15 May 2021 13:43:00 GMT"}
    assert retry_after(headers, NOW - 86_400_000) == 23.0


FIRST_REQUEST = """
import asyncio, sys
from cryptowatcher.adapters.http import open_http

async def served(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
    await writer.drain()
    writer.close()

async def main():
    server = await asyncio.start_server(served, "127.0.0.1", 0)
    async with server, open_http() as http:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        before = set(sys.modules)
        await http.request("GET", url, deadline=60, max_bytes=10)
        print(*sorted(set(sys.modules) - before))

asyncio.run(main())
"""


def test_a_first_request_waits_for_nothing_to_be_loaded() -> None:
    ran = subprocess.run([sys.executable, "-c", FIRST_REQUEST], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []
