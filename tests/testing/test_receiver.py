from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from cryptowatcher.testing.receiver import Mood, WebhookReceiver

SECRET = "whsec_" + base64.b64encode(b"a key of some bytes").decode()
BODY = b'{"price": 1}'


def signed(number: str, *, body: bytes = BODY, key: bytes = b"a key of some bytes") -> dict[str, str]:
    mac = hmac.new(key, f"{number}.1700000000.".encode() + body, hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(mac).decode()
    return {"webhook-id": number, "webhook-timestamp": "1700000000", "webhook-signature": signature}


Talk = Callable[[WebhookReceiver, httpx.AsyncClient], Awaitable[None]]


def talk(with_: Talk, receiver: Callable[[], WebhookReceiver] = lambda: WebhookReceiver(SECRET)) -> None:
    async def main() -> None:
        async with receiver() as hook, httpx.AsyncClient(verify=False, timeout=60) as client:
            await with_(hook, client)

    asyncio.run(main())


def test_a_signed_message_is_taken_and_verified() -> None:
    async def main(hook: WebhookReceiver, client: httpx.AsyncClient) -> None:
        answer = await client.post(hook.url, content=BODY, headers=signed("msg_1"))
        assert answer.status_code == 204
        (message,) = hook.received
        assert (message.id, message.body, message.verified) == ("msg_1", BODY, True)
        assert message.headers["webhook-timestamp"] == "1700000000"

    talk(main)


def test_a_changed_body_a_wrong_key_and_no_signature_do_not_verify() -> None:
    async def main(hook: WebhookReceiver, client: httpx.AsyncClient) -> None:
        await client.post(hook.url, content=b"{}", headers=signed("1"))
        await client.post(hook.url, content=BODY, headers=signed("2", key=b"another"))
        await client.post(hook.url, content=BODY)
        await client.post(hook.url, content=BODY, headers={**signed("3"), "webhook-signature": "v1,***"})
        assert [message.verified for message in hook.received] == [False] * 4

    talk(main)


def test_one_good_signature_among_several_is_enough() -> None:
    async def main(hook: WebhookReceiver, client: httpx.AsyncClient) -> None:
        headers = signed("1")
        headers["webhook-signature"] = "v1a,eHg= v1,eHg= " + headers["webhook-signature"]
        await client.post(hook.url, content=BODY, headers=headers)
        assert hook.received[0].verified

    talk(main)


def test_without_a_secret_nothing_counts_as_verified() -> None:
    async def main(hook: WebhookReceiver, client: httpx.AsyncClient) -> None:
        await client.post(hook.url, content=BODY, headers=signed("1"))
        assert not hook.received[0].verified

    talk(main, WebhookReceiver)


def test_repeated_ids_are_counted() -> None:
    async def main(hook: WebhookReceiver, client: httpx.AsyncClient) -> None:
        for number in ("1", "2", "1", "1"):
            await client.post(hook.url, content=BODY, headers=signed(number))
        assert hook.ids == {"1": 3, "2": 1}
        assert hook.duplicates == 2

    talk(main)


def test_it_fails_the_first_ones_with_the_wanted_status_and_takes_none_of_them() -> None:
    async def main(hook: WebhookReceiver, client: httpx.AsyncClient) -> None:
        hook.behave_badly(Mood.FAIL, times=2, status=429, retry_after="7")
        answers = [await client.post(hook.url, content=BODY, headers=signed(str(n))) for n in range(3)]
        assert [answer.status_code for answer in answers] == [429, 429, 204]
        assert answers[0].headers["retry-after"] == "7"
        assert [message.id for message in hook.received] == ["2"]
        assert len(hook.attempts) == 3

    talk(main)


@pytest.mark.parametrize(("mood", "taken"), [(Mood.CUT, 1), (Mood.CUT_UNTAKEN, 0)])
def test_a_cut_leaves_the_sender_without_an_answer(mood: Mood, taken: int) -> None:
    async def main(hook: WebhookReceiver, client: httpx.AsyncClient) -> None:
        hook.behave_badly(mood)
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(hook.url, content=BODY, headers=signed("1"))
        assert len(hook.received) == taken
        hook.behave()
        assert (await client.post(hook.url, content=BODY, headers=signed("2"))).status_code == 204

    talk(main)


@pytest.mark.parametrize("mood", [Mood.HANG, Mood.SLOW])
def test_a_hanging_or_slow_receiver_has_taken_the_message_before_the_sender_gives_up(mood: Mood) -> None:
    async def main(hook: WebhookReceiver, client: httpx.AsyncClient) -> None:
        hook.behave_badly(mood, delay=3600)
        sending = asyncio.create_task(client.post(hook.url, content=BODY, headers=signed("1"), timeout=None))
        (message,) = await hook.wait_for(1)
        assert message.id == "1"
        assert not sending.done()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    talk(main)


def test_a_flaky_one_fails_before_and_after_taking_and_the_same_seed_fails_the_same_way() -> None:
    histories = []

    async def main(hook: WebhookReceiver, client: httpx.AsyncClient) -> None:
        history = []
        for number in range(60):
            try:
                answer = await client.post(hook.url, content=BODY, headers=signed(str(number)))
                history.append(answer.status_code)
            except httpx.RemoteProtocolError:
                history.append(0)
        histories.append(history)
        taken = [number for number, status in enumerate(history) if status != 503]
        assert [message.id for message in hook.received] == [str(number) for number in taken]

    for _ in range(2):
        talk(main, lambda: WebhookReceiver(flaky=7))
    assert histories[0] == histories[1]
    assert set(histories[0]) == {0, 204, 503}


def test_as_a_process_it_logs_each_taken_message(tmp_path: Path) -> None:
    log = tmp_path / "taken.jsonl"

    async def main() -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cryptowatcher.testing.receiver", "--secret", SECRET, "--log", str(log)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            url = (await process.stdout.readline()).decode().strip()
            async with httpx.AsyncClient(verify=False, timeout=60) as client:
                for number in ("1", "2"):
                    await client.post(url, content=BODY, headers=signed(number))
        finally:
            process.kill()
            await process.communicate()

    asyncio.run(main())
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["id"], line["verified"], line["body"]) for line in lines] == [
        ("1", True, BODY.decode()),
        ("2", True, BODY.decode()),
    ]
