"""`cryptowatcher rules score`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, settings
from cryptowatcher.cli.output import as_json, moment, note, table
from cryptowatcher.cli.storage import read
from cryptowatcher.domain.intervals import show_duration
from cryptowatcher.domain.rules.model import LOCAL_OWNER, Rule
from cryptowatcher.domain.scoring import Score
from cryptowatcher.domain.signals import RuleScore, rule_score
from cryptowatcher.ports import Tx

COLUMNS = ("After", "Signals", "Mean", "After fees", "Of all moments", "Hits", "Hits of all", "Verdict")


def score(
    name: Annotated[
        str | None, typer.Argument(metavar="[RULE]", help="Its name or id; without it all that say buy or sell.")
    ] = None,
    json: AsJson = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """What the signals of rules that say buy or sell were worth, beside random moments.

    Exit code 1 when there is none of that name. With --json one document: its scores, or without a name a list of
    them.
    """
    config = settings(config_file, data_dir)
    if name is None:
        show_all(read(config, _all), json=json)
        return

    def find(tx: Tx) -> RuleScore | None:
        rule = tx.rule(LOCAL_OWNER, name)
        if rule is None:
            return None
        return _score(tx, rule)

    found = read(config, find)
    if found is None:
        note(f"there is no rule {name!r}; see `cryptowatcher rules list`")
        raise typer.Exit(1)
    if json:
        as_json(found)
    elif found.first is None:
        advised = "no signal of it has been scored yet: that takes an hour, a day and a week"
        note("it gives no advice: set one with --advice" if found.advice == "info" else advised)
    else:
        show(found)


def _all(tx: Tx) -> list[tuple[str, RuleScore]]:
    """By their names."""
    return [(rule.spec.name, _score(tx, rule)) for rule in tx.rules(LOCAL_OWNER) if rule.spec.advice != "info"]


def _score(tx: Tx, rule: Rule) -> RuleScore:
    return rule_score(rule.id, rule.version, rule.spec.advice, tx.signals(rule.id, rule.version), tx.closes)


def show_all(found: Sequence[tuple[str, RuleScore]], *, json: bool) -> None:
    """A line for each rule and horizon."""
    if json:
        as_json([score for _, score in found])
    elif not found:
        note("no rule says buy or sell: give one an advice with --advice")
    else:
        rows = [(name, score.advice, *_row(each)) for name, score in found for each in score.scores]
        table(("Rule", "Advice", *COLUMNS), rows, right=COLUMNS[1:-1])


def show(found: RuleScore) -> None:
    show_scores(found.scores)
    if found.first is not None and found.last is not None:
        note(f"{found.advice}, from {moment(found.first)} to {moment(found.last)} UTC")


def show_scores(scores: Sequence[Score]) -> None:
    """A line a horizon."""
    table(COLUMNS, map(_row, scores), right=COLUMNS[1:-1])


def _row(score: Score) -> tuple[str, ...]:
    return (
        show_duration(score.horizon),
        str(score.firings),
        percent(score.mean),
        percent(score.mean_after_fees),
        percent(score.holding),
        percent(score.hit_rate, sign=""),
        percent(score.usual_hit_rate, sign=""),
        score.label,
    )


def percent(value: float | None, *, sign: str = "+") -> str:
    """`+1.23 %`."""
    return "–" if value is None else f"{100 * value:{sign}.2f} %"
