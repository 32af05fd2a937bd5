"""`cryptowatcher rules preview`: where a rule that nobody has saved yet would have fired."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

from cryptowatcher import app
from cryptowatcher.cli.options import (
    AsJson,
    ConfigFile,
    Cooldown,
    DataDir,
    For,
    Rearm,
    Repeat,
    When,
    pair_named,
    settings,
)
from cryptowatcher.cli.output import as_json, note, now
from cryptowatcher.cli.replay import progress_bar
from cryptowatcher.cli.trial import show
from cryptowatcher.config import Config
from cryptowatcher.domain.hindsight import History, looks_back
from cryptowatcher.domain.intervals import parse_duration
from cryptowatcher.domain.pairs import ALL
from cryptowatcher.domain.rules.check import check_spec, parse_percent
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.domain.rules.tree import Condition
from cryptowatcher.errors import ConfigError, Unavailable
from cryptowatcher.previewing import pairs_needed, stored_history, try_rule

SINCE = "90d"


def preview_rule(
    when: When,
    pair: Annotated[
        str | None,
        typer.Option("--pair", "-p", help="bitcoin or ethereum/usd; may be left out for a file of one."),
    ] = None,
    for_: For = "0s",
    rearm: Rearm = "0.1%",
    cooldown: Cooldown = "0s",
    repeat: Repeat = "every",
    advice: Annotated[
        Literal["info", "buy", "sell"], typer.Option("--advice", help="buy and sell are scored.")
    ] = "info",
    candles: Annotated[
        list[Path] | None,
        typer.Option("--candles", metavar="FILE", help="Parquet in the place of what is stored; repeatable."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="DURATION", help=f"How far back: 30d. {SINCE}, of files all there is."),
    ] = None,
    fee: Annotated[str, typer.Option("--fee", metavar="PERCENT", help="Of what is bought or sold.")] = "0.1%",
    a_week: Annotated[
        float | None, typer.Option("--a-week", metavar="N", help="Suggest a number that fires so often a week.")
    ] = None,
    json: AsJson = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Show where a rule would have fired, how often, and what the price did after it. Nothing is saved.

    Exit code 1 when the past does not tell; that it would not have fired is an answer. With --json one document.
    """
    spec = RuleSpec(name="preview", pairs=(ALL,), when=when, for_=for_, rearm=rearm, cooldown=cooldown,
                    repeat=repeat, advice=advice)  # fmt: skip
    condition, paid = _checked(spec), parse_percent(fee, where="--fee")
    if a_week is not None and not 0 < a_week <= 10_000:
        raise ConfigError("a number above 0, and at most 10000, is needed", where="--a-week")
    named = pair_named(pair, where="--pair") if pair else None
    back = parse_duration(since or SINCE, where="--since")
    if back == 0:
        raise ConfigError("there is nothing to look at in 0s", where="--since", hint="write 7d, 90d, …")
    if candles:
        asked, history = _from_files(candles, condition, named, back if since else None)
    elif named is None:
        raise ConfigError("a pair is needed", where="--pair", hint="--pair bitcoin, or --candles FILE")
    else:
        asked, history = named, _from_store(settings(config_file, data_dir), condition, named, back)
    with progress_bar("preview") as progress:
        trial = try_rule(spec, history, asked, fee=paid, a_week=a_week, progress=progress)
    if json:
        as_json(trial)
    else:
        show(trial, history)
    if trial.preview.unknown:
        raise typer.Exit(1)


def _checked(spec: RuleSpec) -> Condition:
    """The condition. ConfigError that names the option."""
    try:
        return check_spec(spec)
    except ConfigError as error:
        raise ConfigError(error.message, where=f"--{error.where}", hint=error.hint) from None


def _from_files(
    files: list[Path], condition: Condition, named: str | None, back: int | None
) -> tuple[str, History]:
    """The pair, and what the files hold of it; of the last `back` ms only, if that is given."""
    from cryptowatcher.replay import history_of, read_recorded

    for file in files:
        if not file.is_file():
            raise ConfigError(f"there is no file {file}", where="--candles")
    recorded = read_recorded(files, pair=named)
    there = recorded.batch.pairs
    if named is None and len(there) > 1:
        raise ConfigError("the files hold several pairs", where="--pair", hint=_such_as(there))
    pair = named or there[0]
    if pair not in there:
        raise ConfigError(f"the files do not hold {pair}", where="--pair", hint=_such_as(there))
    last = int(recorded.batch.observed_at.max())
    begin = 0 if back is None else last - back - looks_back(condition)
    return pair, history_of(recorded, pairs_needed(condition, pair), since=begin)


def _such_as(pairs: tuple[str, ...]) -> str:
    more = f" and {len(pairs) - 5} more" if len(pairs) > 5 else ""
    return f"they hold {', '.join(pairs[:5])}{more}"


def _from_store(config: Config, condition: Condition, pair: str, back: int) -> History:
    async def work() -> History:
        async with config.store.open(app.deps(config), readonly=True) as store:
            with progress_bar("read candles") as progress:
                return await stored_history(store, condition, pair, since=back, now=now(), progress=progress)

    try:
        history = asyncio.run(work())
    except Unavailable as error:
        if error.reason != "not_ready":
            raise
        message = f"nothing is stored in {config.data_dir} yet: start `cryptowatcher run`, or give --candles FILE"
        raise Unavailable(message, reason=error.reason) from None
    if not len(history.batch):
        note(f"no candles of {pair} are stored for that time; try --candles FILE")
    return history
