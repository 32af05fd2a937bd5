"""The two ends of the canary's way: a source that goes up and down, and a channel that asks an outside address
only for a round that has just gone round."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import msgspec
import pytest

from cryptowatcher.config.canary import Canary, life_begins
from cryptowatcher.config.secrets import SecretReader
from cryptowatcher.domain.addresses import Outbound
from cryptowatcher.domain.alerts import Alert, alert_id
from cryptowatcher.domain.canary import HIGH, LOW, NAME, RULE, SYSTEM_OWNER
from cryptowatcher.domain.deliveries import Delivery, after_failure
from cryptowatcher.domain.messages import write
from cryptowatcher.domain.pairs import CANARY
from cryptowatcher.domain.rules.model import Firing, rule_id
from cryptowatcher.errors import ConfigError, Refused, Unavailable
from cryptowatcher.ports import Channel, Cursor, Deps, Step, Tx
from cryptowatcher.testing.contracts.channel import sample_delivery, sample_message
from tests.adapters.loopback import Behaviour, Loopback, answering, serving
from tests.pipeline.inline import Hands, opened

HERE = Outbound(allow=("127.0.0.0/8",))

OPENED = 1_722_838_500_000
MINUTE = 60_000


def a_round(began: int, *, took: int = 300) -> Alert:
    """An alert of the canary whose observation was made then; it may stand for a gap that began earlier."""
    event_time = began - 40 * MINUTE
    return Alert(
        id=alert_id(rule="r1", version=1, pair=CANARY, kind="gap", event_time=event_time),
        owner=SYSTEM_OWNER,
        rule="r1",
        rule_name=NAME,
        version=1,
        pair=CANARY,
        kind="gap",
        event_time=event_time,
        at=began + took,
        seq=1,
        condition=RULE.when,
        value=HIGH,
        constant=1.1,
        previous=LOW,
        price=HIGH,
        source=NAME,
        received_at=began,
        gap_ms=40 * MINUTE,
        advice="info",
        channels=(NAME,),
    )


class End:
    """The open channel, the address that it asks, and what was said of rounds."""

    def __init__(self, clock: Hands) -> None:
        self.clock = clock
        self.rounds: list[tuple[float, int]] = []
        self.channel: Channel
        self.outside: Loopback
        self.behave = answering(200, b"OK")

    async def go(self, alert: Alert, *, attempts: int = 0) -> str:
        delivery = msgspec.structs.replace(sample_delivery(alert, NAME), attempts=attempts)
        return await self.channel.send(write([(delivery, alert)], now=0))


def deps(clock: Hands, folder: Path = Path(), environ: dict[str, str] | None = None) -> Deps:
    return Deps(clock=clock, secret=SecretReader(folder, environ or {}), random=Random(1), outbound=HERE)


@asynccontextmanager
async def the_end(*, every: str = "1m", told: bool = True, since: int = OPENED) -> AsyncIterator[End]:
    end = End(Hands(OPENED))

    async def behave(*request: object) -> None:
        await end.behave(*request)  # type: ignore[arg-type]  # as it came

    async with serving(behave) as end.outside:
        settings = Canary(every=every, url=f"{end.outside.url}/ping/secret-id" if told else "")
        opening = settings.open_channel(
            deps(end.clock), since=since, on_round_trip=lambda seconds, at: end.rounds.append((seconds, at))
        )
        async with opening as end.channel:
            yield end


def test_each_round_asks_the_address_once_and_is_noted() -> None:
    async def main() -> None:
        async with the_end() as end:
            end.clock.pass_by(30)
            assert await end.go(a_round(end.clock.wall - 1_250)) == "HTTP 200"
            assert [(request.method, request.target) for request in end.outside.requests] == [
                ("GET", "/ping/secret-id")
            ]
            assert end.rounds == [(1.25, end.clock.wall)]

    asyncio.run(main())


def test_without_an_address_it_still_goes_round() -> None:
    async def main() -> None:
        async with the_end(told=False) as end:
            end.clock.pass_by(30)
            assert await end.go(a_round(end.clock.wall - 500)) == "went round"
            assert end.outside.requests == []
            assert end.rounds == [(0.5, end.clock.wall)]

    asyncio.run(main())


def test_a_round_that_took_more_than_two_periods_is_over_and_nobody_is_told() -> None:
    async def main() -> None:
        async with the_end() as end:
            began = end.clock.wall + 1
            end.clock.wall = began + 2 * MINUTE
            assert await end.go(a_round(began))
            end.clock.wall += 1
            for attempts in (0, 3):
                with pytest.raises(Refused) as refused:
                    await end.go(a_round(began), attempts=attempts)
                assert refused.value.reason == "late"
            assert len(end.outside.requests) == len(end.rounds) == 1

    asyncio.run(main())


@pytest.mark.parametrize("ahead", [0, 60 * MINUTE])
def test_a_round_that_began_in_an_earlier_life_counts_for_nothing(ahead: int) -> None:
    """Also where the clock was set back meanwhile, so that this life began at a time that is still to come."""

    async def main() -> None:
        async with the_end(since=OPENED + ahead) as end:
            end.clock.pass_by(10)
            with pytest.raises(Refused) as refused:
                await end.go(a_round(OPENED + ahead))
            assert refused.value.reason == "late"
            assert end.outside.requests == []
            assert await end.go(a_round(OPENED + ahead + 1))

    asyncio.run(main())


def test_a_clock_that_was_set_back_does_not_silence_it() -> None:
    async def main() -> None:
        async with the_end() as end:
            began = end.clock.wall + 1
            end.clock.wall -= 60 * MINUTE
            assert await end.go(a_round(began))
            assert end.rounds == [(0.0, end.clock.wall)]

    asyncio.run(main())


def test_a_round_is_noted_once_however_often_the_outside_is_asked() -> None:
    async def main() -> None:
        async with the_end() as end:
            end.clock.pass_by(30)
            end.behave = answering(500, b"")
            alert = a_round(end.clock.wall)
            with pytest.raises(Unavailable):
                await end.go(alert)
            end.behave = answering(200, b"")
            assert await end.go(alert, attempts=1) == "HTTP 200"
            assert len(end.outside.requests) == 2
            assert len(end.rounds) == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "reason", "asked"),
    [
        (answering(500, b""), "server_error", None),
        (answering(503, b"", {"retry-after": "7"}), "server_error", 7.0),
        (answering(429, b""), "rate_limited", None),
        (answering(404, b"not found"), "client_error", 60.0),
        (answering(301, b"", {"location": "https://elsewhere.test/"}), "redirect", 60.0),
        (answering(200, b"x" * 1_000_001), "too_large", None),
    ],
)
def test_only_2xx_is_success_and_a_person_s_mistake_is_asked_once_a_round(
    answer: Behaviour, reason: str, asked: float | None
) -> None:
    async def main() -> None:
        async with the_end() as end:
            end.clock.pass_by(30)
            end.behave = answer
            with pytest.raises(Unavailable) as failed:
                await end.go(a_round(end.clock.wall))
            assert (failed.value.reason, failed.value.retry_after) == (reason, asked)
            assert "secret-id" not in str(failed.value)

    asyncio.run(main())


def test_an_outside_that_is_not_there_is_unavailable() -> None:
    async def main() -> None:
        clock = Hands(OPENED)
        async with serving(answering(200, b"")) as gone:
            url = gone.url
        opening = Canary(url=url).open_channel(deps(clock), since=0, on_round_trip=lambda seconds, at: None)
        async with opening as channel:
            alert = a_round(OPENED + 1)
            with pytest.raises(Unavailable) as failed:
                await channel.send(sample_message(alert, NAME))
            assert failed.value.reason == "connect"

    asyncio.run(main())


def test_it_is_tried_some_times_and_given_up_before_the_round_is_too_old() -> None:
    retry = Canary().policy().retry
    alert = a_round(OPENED)
    delivery: Delivery = sample_delivery(alert, NAME)
    now, attempts = alert.at, 0
    while delivery.state != "given_up":
        attempts += 1
        delivery = after_failure(delivery, "no", now=now, retry_after=None, jitter=0.5, policy=retry)
        now = max(now, delivery.due_at)
    assert 5 <= attempts <= 20
    assert delivery.finished_at - alert.at < 2 * MINUTE


# --- the source ----------------------------------------------------------------------------------


def test_it_begins_low_and_goes_up_and_down() -> None:
    async def main() -> None:
        clock = Hands(OPENED)
        source = Canary().open_source(deps(clock), since=0)
        assert (source.name, source.pages, source.pace.every, source.pace.per_month) == (NAME, 1, 30.0, None)
        seen = []
        for _ in range(4):
            clock.pass_by(30)
            found = await source.fetch(0)
            assert (found.pairs, found.unseen) == ((CANARY,), ())
            assert found.observed_at.tolist() == [found.received_at] == [clock.wall]
            seen += found.price.tolist()
        assert seen == [LOW, HIGH, LOW, HIGH]

    asyncio.run(main())


def test_its_time_never_goes_back() -> None:
    async def main() -> None:
        clock = Hands(OPENED)
        source = Canary().open_source(deps(clock), since=OPENED + 5_000)
        times = []
        for step in (0, 30_000, -60 * MINUTE, 30_000, 120 * MINUTE):
            clock.wall += step
            times += [(await source.fetch(0)).received_at]
        assert times == [OPENED + 5_001, OPENED + 30_000, OPENED + 30_001, OPENED + 30_002, clock.wall]

    asyncio.run(main())


def test_a_life_begins_now_or_beyond_all_that_was_observed_before(tmp_path: Path) -> None:
    """A little more may have been observed than was committed when the program died."""
    rule = rule_id(SYSTEM_OWNER, NAME)
    fired = Firing(rule=rule, pair=CANARY, last_fired_at=9_000, fired=1, suppressed=0)

    def commit(tx: Tx, step: Step) -> None:
        tx.commit_step(step, epoch=tx.new_epoch("watch"), before=tx.cursor())

    async def main() -> None:
        async with opened(tmp_path, Hands(OPENED)) as (store, _):
            assert await store.run(lambda tx: life_begins(tx, 5_000)) == 5_000
            await store.run(lambda tx: commit(tx, Step(cursor=Cursor("j", 1, 8_000))))
            assert await store.run(lambda tx: life_begins(tx, 8_001)) == 8_001
            assert await store.run(lambda tx: life_begins(tx, 8_000)) == 8_000 + MINUTE
            await store.run(lambda tx: commit(tx, Step(cursor=Cursor("j", 2, 8_000), firings=[fired])))
            assert await store.run(lambda tx: life_begins(tx, 8_001)) == 9_000 + MINUTE
            assert await store.run(lambda tx: life_begins(tx, 9_001)) == 9_001

    asyncio.run(main())


# --- settings ------------------------------------------------------------------------------------


def test_the_address_is_read_from_a_file_or_a_variable(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(answering(200, b"")) as outside:
            (tmp_path / "ping.url").write_text(f" {outside.url}/from-file \n")
            (tmp_path / "ping.url").chmod(0o600)
            clock = Hands(OPENED)
            where = deps(clock, tmp_path, {"PING": f"{outside.url}/from-variable"})
            for settings in (Canary(url_file="ping.url"), Canary(url_variable="PING")):
                opening = settings.open_channel(where, since=0, on_round_trip=lambda seconds, at: None)
                async with opening as channel:
                    alert = a_round(OPENED + 1)
                    await channel.send(sample_message(alert, NAME))
            assert [request.target for request in outside.requests] == ["/from-file", "/from-variable"]

    asyncio.run(main())


@pytest.mark.parametrize("text", ["hc-ping.com/secret", "ftp://x/secret", "https:///secret", "http://a/secret b"])
def test_what_is_no_address_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Canary(url=text)
    assert refused.value.where == "canary.url"
    assert "secret" not in str(refused.value)

    async def main() -> None:
        opening = Canary(url_variable="PING").open_channel(
            deps(Hands(OPENED), environ={"PING": text}), since=0, on_round_trip=lambda seconds, at: None
        )
        with pytest.raises(ConfigError) as read:
            await opening.__aenter__()
        assert read.value.where == "canary.url_variable"
        assert "secret" not in str(read.value)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"every": "0s"}, "canary.every"),
        ({"every": "999ms"}, "canary.every"),
        ({"every": "often"}, "canary.every"),
        ({"url": "https://a.test/", "url_file": "f"}, "canary"),
        ({"url_file": "f", "url_variable": "V"}, "canary"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, str], where: str) -> None:
    with pytest.raises(ConfigError) as refused:
        msgspec.convert(settings, Canary)
    assert refused.value.where == where


def test_the_settings_never_show_the_address() -> None:
    assert "secret" not in repr(Canary(url="https://hc-ping.test/secret"))


@pytest.mark.parametrize("enabled", [True, False])
def test_its_name_is_taken_whether_or_not_it_is_there(enabled: bool) -> None:
    with pytest.raises(ConfigError) as refused:
        Canary(enabled=enabled).check_name(NAME, where="channels[0].name")
    assert refused.value.where == "channels[0].name"
    Canary(enabled=enabled).check_name("ops", where="")


def test_it_has_a_rule_only_while_it_is_there() -> None:
    assert Canary().rules == (RULE,)
    assert Canary(enabled=False).rules == ()
