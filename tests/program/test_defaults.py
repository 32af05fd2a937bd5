"""Default rules belong to nobody until their owner touches them; what the owner did survives every start."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import httpx
import msgspec

from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.adapters.journals.sqlite import open_sqlite_journal
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.configured import sync_defaults, sync_rules
from cryptowatcher.domain.defaults import DEFAULT_RULES
from cryptowatcher.domain.rules.model import LOCAL_OWNER, Rule, RuleSpec, origin_after_edit
from cryptowatcher.ports import Tx
from cryptowatcher.testing.fake_coingecko import FakeCoinGecko
from cryptowatcher.testing.receiver import WebhookReceiver
from tests.program.test_run import running, with_world

MOVES, DEPEG = DEFAULT_RULES
NEWER = msgspec.structs.replace(DEPEG, when="abs(price - 1) > 1%")
"""Of a later release."""


class Starts:
    """One data folder over several starts of the program."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self, defaults: Sequence[RuleSpec], configured: Sequence[RuleSpec] = ()) -> dict[str, Rule]:
        """With these default rules in the program; the rules by name afterwards."""

        async def main() -> dict[str, Rule]:
            clock = SystemClock()
            async with (
                open_sqlite_store(self._folder / "store.db") as store,
                open_sqlite_journal(self._folder / "journal.db", clock=clock) as journal,
            ):
                await sync_rules(store, journal, configured, clock)
                await sync_defaults(store, journal, defaults, clock)
                return {rule.spec.name: rule for rule in await store.run(lambda tx: tx.rules(LOCAL_OWNER))}

        return asyncio.run(main())

    def change(self, name: str, **fields: object) -> None:
        """As the command line and the API do for their owner."""

        def save(tx: Tx) -> None:
            before = tx.rule(LOCAL_OWNER, name)
            assert before is not None
            spec = msgspec.structs.replace(before.spec, **fields)
            tx.save_rule(LOCAL_OWNER, spec, head=0, now=0, origin=origin_after_edit(before, spec))

        self._do(save)

    def remove(self, name: str) -> None:
        def remove(tx: Tx) -> None:
            assert tx.remove_rule(LOCAL_OWNER, name, head=0, now=0)

        self._do(remove)

    def _do(self, act: object) -> None:
        async def main() -> None:
            async with open_sqlite_store(self._folder / "store.db") as store:
                await store.run(act)  # type: ignore[arg-type]  # either of the two above

        asyncio.run(main())


def test_a_fresh_store_gets_them_and_a_second_start_changes_nothing(tmp_path: Path) -> None:
    starts = Starts(tmp_path)
    first = starts.start(DEFAULT_RULES)
    assert {name: (rule.spec, rule.origin) for name, rule in first.items()} == {
        spec.name: (spec, "default") for spec in DEFAULT_RULES
    }
    assert starts.start(DEFAULT_RULES) == first


def test_one_that_nobody_touched_follows_the_release(tmp_path: Path) -> None:
    starts = Starts(tmp_path)
    starts.start(DEFAULT_RULES)
    assert starts.start([MOVES, NEWER])["depeg"].spec == NEWER
    assert [*starts.start([MOVES])] == ["significant move"]


def test_one_that_was_changed_or_paused_stays_as_it_is(tmp_path: Path) -> None:
    starts = Starts(tmp_path)
    starts.start(DEFAULT_RULES)
    starts.change("depeg", cooldown="1h")
    starts.change("significant move", paused=True)
    for defaults in ([MOVES, NEWER], ()):
        rules = starts.start(defaults)
        assert rules["depeg"].spec == msgspec.structs.replace(DEPEG, cooldown="1h")
        assert rules["significant move"].spec == msgspec.structs.replace(MOVES, paused=True)


def test_one_that_was_saved_as_it_was_is_still_nobodys(tmp_path: Path) -> None:
    starts = Starts(tmp_path)
    starts.start(DEFAULT_RULES)
    starts.change("depeg", cooldown=DEPEG.cooldown)
    assert starts.start([MOVES, NEWER])["depeg"].spec == NEWER


def test_one_that_was_removed_stays_removed_even_when_all_were_off_meanwhile(tmp_path: Path) -> None:
    starts = Starts(tmp_path)
    starts.start(DEFAULT_RULES)
    starts.remove("depeg")
    assert [*starts.start([MOVES, NEWER])] == ["significant move"]
    assert [*starts.start(())] == []
    assert [*starts.start(DEFAULT_RULES)] == ["significant move"]


def test_a_rule_of_somebody_elses_with_such_a_name_is_left_alone(tmp_path: Path) -> None:
    starts = Starts(tmp_path)
    mine = msgspec.structs.replace(DEPEG, when="abs(price - 1) > 3%")
    assert starts.start(DEFAULT_RULES, [mine])["depeg"].spec == mine
    assert starts.start((), [mine])["depeg"].origin == "config"
    assert starts.start(DEFAULT_RULES)["depeg"].spec == DEPEG  # the file names it no more


def with_defaults(config: Path) -> None:
    """The configuration of these tests turns them off, because they are about something else."""
    config.write_text(config.read_text().replace("[default_rules]\nenabled = false\n", ""))


def test_what_the_owner_removed_by_the_api_is_gone_after_a_restart(tmp_path: Path) -> None:
    async def story(config: Path, port: int, fake: FakeCoinGecko, hook: WebhookReceiver) -> None:
        with_defaults(config)
        async with running(config, port) as program:
            answer = await program.until("/api/v1/rules", lambda answer: bool(names(answer)))
            assert names(answer) == ["bitcoin above", "depeg", "significant move"]
            depeg = answer.json()["items"][1]["id"]
            async with httpx.AsyncClient() as client:
                gone = await client.delete(f"{program.page}/api/v1/rules/{depeg}")
            assert gone.status_code == 204
            assert await program.stop() == 0
        async with running(config, port) as program:
            await program.until("/health/ready", lambda answer: answer.status_code == 200)
            answer = await program.until("/api/v1/rules", lambda answer: bool(names(answer)))
            assert names(answer) == ["bitcoin above", "significant move"]
            assert await program.stop() == 0

    with_world(story, tmp_path)


def names(answer: httpx.Response) -> list[str]:
    return [rule["spec"]["name"] for rule in answer.json()["items"]] if answer.status_code == 200 else []
