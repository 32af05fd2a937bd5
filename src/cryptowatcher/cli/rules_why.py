"""`cryptowatcher rules why`: why a rule has not fired, or will not fire now."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cryptowatcher import app
from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, pair_named, settings
from cryptowatcher.cli.output import age, as_json, console, note, now, table
from cryptowatcher.config import Config
from cryptowatcher.domain.rules.model import LOCAL_OWNER, Rule
from cryptowatcher.domain.rules.sides import Side
from cryptowatcher.domain.rules.why import asked_pair
from cryptowatcher.domain.rules.why_words import Explained, explain, show_distance, show_value
from cryptowatcher.errors import ConfigError, Unavailable
from cryptowatcher.ports import Tx
from cryptowatcher.recall import recall

_LAGS = 60_000
"""ms after which it is said that the answer is old."""
_REASONS = {
    None: "",
    "unseen": "never observed",
    "short": "not watched for long enough",
    "gap": "watched with gaps",
    "unsaid": "the source does not say it",
    "other": "another pair is missing",
}


def why_rule(
    name: Annotated[str, typer.Argument(metavar="RULE", help="Its name or id.")],
    pair: Annotated[
        str | None, typer.Option("--pair", "-p", help="bitcoin or ethereum/usd; needed where it looks at several.")
    ] = None,
    json: AsJson = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Say why a rule has not fired for a pair.

    What its condition looks at now, how far that is from turning true, and what else is in its way. It works
    beside a running watcher and without one. Exit code 1 when there is no such rule. With --json one document, as
    the API gives it.
    """
    config = settings(config_file, data_dir)
    found = asyncio.run(_explained(config, name, pair_named(pair, where="--pair") if pair else None))
    if found is None:
        note(f"there is no rule {name!r}; see `cryptowatcher rules list`")
        raise typer.Exit(1)
    if json:
        as_json(found)
        return
    _show(found)
    old = now() - found.at
    if found.at and old > _LAGS:
        note(f"the watcher stands where it stood {age(old)} ago")


async def _explained(config: Config, name: str, pair: str | None) -> Explained | None:
    deps = app.deps(config)

    def find(tx: Tx) -> tuple[Rule | None, dict[str, int]]:
        return tx.rule(LOCAL_OWNER, name), tx.snoozes(LOCAL_OWNER)

    not_yet = Unavailable(
        f"nothing is stored in {config.data_dir} yet: start `cryptowatcher run`", reason="not_ready"
    )
    try:
        async with (
            config.store.open(deps, readonly=True) as store,
            app.open_journal(config, readonly=True) as journal,
        ):
            rule, snoozes = await store.run(find)
            if rule is None:
                return None
            asked = _pair(rule, pair)
            recalled = await recall(journal, store, candles=False)
    except Unavailable as error:
        if error.reason != "not_ready":
            raise
        raise not_yet from None
    if recalled is None:
        raise not_yet
    return explain(recalled.watcher.engine, rule, asked, snoozed_until=snoozes.get(rule.id))


def _pair(rule: Rule, pair: str | None) -> str:
    try:
        return asked_pair(rule.spec, pair)
    except ConfigError as error:
        raise ConfigError(error.message, where="--pair", hint=error.hint) from None


def _show(found: Explained) -> None:
    """The sentences, and the comparisons with what they look at."""
    console().print(found.says, markup=False, soft_wrap=True)
    rows = [row for side in found.parts for row in _rows(side)]
    if rows:
        console().print()
        table(("Comparison", "Now", "Against", "To go", ""), rows, right=("Now", "Against", "To go"))


def _rows(side: Side) -> list[tuple[str, ...]]:
    """The comparison, and under it the features that it is made of."""
    left, right = show_value(side.left, side.unit), show_value(side.right, side.unit)
    far = show_distance(side) if side.truth == "fails" else ""
    rows: list[tuple[str, ...]] = [(side.text, left, right, far, side.truth)]
    if [each.text for each in side.inputs] != [side.of]:
        rows += [
            (f"  {each.text}", show_value(each.value, each.unit), "", "", _REASONS[each.reason])
            for each in side.inputs
        ]
    return rows
