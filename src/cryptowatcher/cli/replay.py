"""`cryptowatcher replay`: recorded prices through the very same watch, at full speed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cryptowatcher.cli.alerts import show
from cryptowatcher.cli.options import AsJson, ConfigFile, new_app, pair_named, settings
from cryptowatcher.cli.output import as_json, counted, note
from cryptowatcher.domain.alerts import is_condition
from cryptowatcher.domain.pairs import ALL
from cryptowatcher.domain.rules.check import check_spec
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.errors import ConfigError

app = new_app()


@app.command()
def replay(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Parquet files of candles.")],
    when: Annotated[
        list[str] | None,
        typer.Option("--when", "-w", help='A condition for all pairs: "change(1h) <= -10%"; repeatable.'),
    ] = None,
    for_: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="With --when: how long it must hold.")
    ] = "0s",
    rearm: Annotated[
        str, typer.Option("--rearm", metavar="PERCENT", help="With --when: how far back to re-arm.")
    ] = "0.1%",
    cooldown: Annotated[
        str, typer.Option("--cooldown", metavar="DURATION", help="With --when: silence after firing.")
    ] = "0s",
    pair: Annotated[str | None, typer.Option("--pair", "-p", help="The pair of files that do not say.")] = None,
    json: AsJson = False,
    config_file: ConfigFile = None,
) -> None:
    """The alerts that recorded prices would have sent, by the rules given with --when, else by those of the
    configuration. A file has the columns ts or start (when a candle begins) and close, and pair or symbol where it
    holds several: what `export candles` writes is one.

    With --json one document: alerts, ticks, pairs and seconds.
    """
    from cryptowatcher.replay import replay as run

    rules: Sequence[RuleSpec]
    lists: Mapping[str, Sequence[str]] = {}
    if when:
        rules = _ad_hoc(when, for_, rearm, cooldown)
    else:
        config = settings(config_file, None)
        rules, lists = config.rules, config.watchlists
    if not rules:
        raise ConfigError("there are no rules to replay", hint='give one: --when "change(1h) <= -10%"')
    name = pair_named(pair, where="--pair") if pair else None
    for file in files:
        if not file.is_file():
            raise ConfigError(f"there is no file {file}", where="FILE")
    with progress_bar("replay") as progress:
        result = run(files, rules, lists=lists, progress=progress, pair=name)
    for idle in result.idle:
        note(idle)
    if json:
        as_json(result)
        return
    if result.alerts:
        show(list(result.alerts), {})
    fired = sum(is_condition(alert.kind) for alert in result.alerts)
    over = f", {len(result.alerts) - fired:,} of them over again" if fired < len(result.alerts) else ""
    speed = result.ticks / result.seconds if result.seconds else 0
    note(
        f"{counted(result.ticks, 'tick')} of {counted(result.pairs, 'pair')} in {result.seconds:.2f} s"
        f" ({speed:,.0f} ticks/s): {counted(fired, 'alert')}{over}"
    )


def _ad_hoc(when: Sequence[str], for_: str, rearm: str, cooldown: str) -> list[RuleSpec]:
    """One rule for all pairs a condition, named after it."""
    rules = [
        RuleSpec(name=text, pairs=(ALL,), when=text, for_=for_, rearm=rearm, cooldown=cooldown)
        for text in dict.fromkeys(when)
    ]
    for rule in rules:
        try:
            check_spec(rule)
        except ConfigError as error:
            raise ConfigError(error.message, where=f"--{error.where}", hint=error.hint) from None
    return rules


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A function (done, of how many) that draws a bar on standard error; None when that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        shown = 0

        def step(done: int, total: int) -> None:
            nonlocal shown
            # Drawing takes longer than a step does.
            if done >= total or done - shown >= total / 200:
                shown = done
                bar.update(task, completed=done, total=total)

        yield step
