"""`cryptowatcher rules score`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, settings
from cryptowatcher.cli.output import as_json, moment, note, table
from cryptowatcher.cli.storage import read
from cryptowatcher.domain.intervals import show_duration
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.domain.scoring import Score
from cryptowatcher.domain.signals import RuleScore, rule_score
from cryptowatcher.ports import Tx

COLUMNS = ("After", "Signals", "Mean", "After fees", "Of all moments", "Hits", "Hits of all", "Verdict")


def score(
    name: Annotated[str, typer.Argument(metavar="RULE", help="Its name or id.")],
    json: AsJson = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """What the signals of a rule that says buy or sell were worth, beside random moments.

    Exit code 1 when there is none of that name. With --json one document: its scores.
    """

    def find(tx: Tx) -> RuleScore | None:
        rule = tx.rule(LOCAL_OWNER, name)
        if rule is None:
            return None
        return rule_score(rule.id, rule.version, rule.spec.advice, tx.signals(rule.id, rule.version), tx.closes)

    found = read(settings(config_file, data_dir), find)
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


def show(found: RuleScore) -> None:
    show_scores(found.scores)
    if found.first is not None and found.last is not None:
        note(f"{found.advice}, from {moment(found.first)} to {moment(found.last)} UTC")


def show_scores(scores: Sequence[Score]) -> None:
    """A line a horizon."""
    rows = (
        (
            show_duration(each.horizon),
            str(each.firings),
            percent(each.mean),
            percent(each.mean_after_fees),
            percent(each.holding),
            percent(each.hit_rate, sign=""),
            percent(each.usual_hit_rate, sign=""),
            each.label,
        )
        for each in scores
    )
    table(COLUMNS, rows, right=COLUMNS[1:-1])


def percent(value: float | None, *, sign: str = "+") -> str:
    """`+1.23 %`."""
    return "–" if value is None else f"{100 * value:{sign}.2f} %"
