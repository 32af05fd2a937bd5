"""`cryptowatcher rules check`: what a rule says in plain words, before anybody saves it."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from cryptowatcher.cli.options import AsJson, Cooldown, For, Over, Rearm, Repeat, pairs_named
from cryptowatcher.cli.output import as_json, note
from cryptowatcher.domain.pairs import ALL
from cryptowatcher.domain.rules.check import check_spec
from cryptowatcher.domain.rules.mistakes import ConditionError
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.domain.rules.words import say
from cryptowatcher.errors import ConfigError


class Good(msgspec.Struct, frozen=True):
    """`when`: the condition as the program writes it."""

    when: str
    words: str
    ok: bool = True


class Bad(msgspec.Struct, frozen=True):
    """`column`: of the condition, from 1; none where an option is wrong."""

    where: str
    message: str
    column: int | None
    hint: str
    ok: bool = False


def check_rule(
    when: Annotated[str, typer.Argument(metavar="EXPR", help='The condition: "change(5m) <= -5%".')],
    pairs: Annotated[
        list[str] | None,
        typer.Option("--pair", "-p", help="As for `rules add`; repeatable. Without it: all."),
    ] = None,
    for_: For = "0s",
    rearm: Rearm = "0.1%",
    cooldown: Cooldown = "0s",
    repeat: Repeat = "every",
    resolved: Over = False,
    json: AsJson = False,
) -> None:
    """Say a condition back in plain words, or show what is wrong under its column (exit code 2).

    It needs no data and saves nothing. With --json one document, of what is wrong too.
    """
    try:
        named = tuple(pairs_named(pair, where="pairs") for pair in pairs or [ALL])
        good = _good(RuleSpec(name="checked", pairs=named, when=when, for_=for_, rearm=rearm, cooldown=cooldown,
                              repeat=repeat, resolved=resolved))  # fmt: skip
    except ConfigError as error:
        where = _option(error.where)
        if not json:
            raise ConfigError(error.message, where=where, hint=error.hint) from None
        message, column = (
            (error.reason, error.column) if isinstance(error, ConditionError) else (error.message, None)
        )
        as_json(Bad(where, message, column, error.hint))
        raise typer.Exit(2) from None
    if json:
        as_json(good)
        return
    print(good.words)
    if good.when != when:
        note(f"written: {good.when}")


def _good(spec: RuleSpec) -> Good:
    return Good(str(check_spec(spec)), say(spec))


def _option(field: str) -> str:
    named = {"when": "EXPR", "pairs": "--pair"}
    return named.get(field.partition("[")[0], f"--{field}")
