"""`cryptowatcher lists`: list, set, add, remove, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, new_app, pair_named, settings
from cryptowatcher.cli.output import as_json, note, now, table
from cryptowatcher.cli.storage import change, read
from cryptowatcher.cli.unseen import note_unseen, observed
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.domain.rules.watchlists import Watchlist, check_list, list_of
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Tx

app = new_app()

AGAIN = "It stands in the configuration, which counts again at the next start: change it there too."
SHOWN = 6
"""Pairs of a list that the table names."""

Name = Annotated[str, typer.Argument(metavar="NAME", help="Up to 64 of a-z, 0-9, - and _.")]
Pairs = Annotated[list[str], typer.Argument(metavar="PAIR...", help="bitcoin, ethereum/usd.")]
PairsOrNone = Annotated[
    list[str] | None, typer.Argument(metavar="[PAIR]...", help="bitcoin, ethereum/usd; none is fine.")
]


@app.callback()
def lists() -> None:
    """Named lists of pairs: a rule with --pair "list(mine)" looks at each pair of the list mine. A running watcher
    takes a change up at once."""


@app.command("list")
def list_lists(json: AsJson = False, config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """All lists. With --json one document: a list of lists."""

    def find(tx: Tx) -> tuple[list[Watchlist], list[tuple[str | None, str]]]:
        return tx.watchlists(LOCAL_OWNER), [(list_of(rule.spec), rule.spec.name) for rule in tx.rules(LOCAL_OWNER)]

    found, rules = read(settings(config_file, data_dir), find)
    if json:
        as_json(found)
    elif found:
        rows = (
            (
                each.name,
                ", ".join(each.pairs[:SHOWN])
                + (f" and {len(each.pairs) - SHOWN} more" if len(each.pairs) > SHOWN else ""),
                ", ".join(name for on, name in rules if on == each.name),
            )
            for each in found
        )
        table(("List", "Pairs", "Rules on it"), rows)
    else:
        note("no lists; for example: cryptowatcher lists set mine bitcoin ethereum")


@app.command("set")
def set_list(
    name: Name, pairs: PairsOrNone = None, json: AsJson = False, config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Make a list, or replace what is on it. With --json one document: the list."""
    wanted = _named(pairs or [])
    saved, seen = _changed(config_file, data_dir, name, lambda _: wanted, make=True)
    _answer(saved, json=json)
    note_unseen(wanted, seen, named_by=f"list {name!r}")


@app.command()
def add(
    name: Name, pairs: Pairs, json: AsJson = False, config_file: ConfigFile = None, data_dir: DataDir = None
) -> None:
    """Put pairs on a list; those that are on it stay. With --json one document: the list."""
    more = _named(pairs)
    saved, seen = _changed(config_file, data_dir, name, lambda old: tuple(dict.fromkeys([*old, *more])))
    _answer(saved, json=json)
    note_unseen(more, seen, named_by=f"list {name!r}")


@app.command()
def remove(
    name: Name, pairs: Pairs, json: AsJson = False, config_file: ConfigFile = None, data_dir: DataDir = None
) -> None:
    """Take pairs off a list. With --json one document: the list."""
    less = _named(pairs)

    def without(old: tuple[str, ...]) -> tuple[str, ...]:
        for pair in less:
            if pair not in old:
                raise ConfigError(f"{pair} is not on the list {name!r}", where="PAIR")
        return tuple(pair for pair in old if pair not in less)

    saved, _ = _changed(config_file, data_dir, name, without)
    _answer(saved, json=json)


@app.command()
def delete(name: Name, config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Delete a list. Not while rules are on it."""

    def drop(tx: Tx, head: int) -> Watchlist | None:
        found = _find(tx, name)
        tx.remove_watchlist(LOCAL_OWNER, name)
        return found

    found = change(settings(config_file, data_dir), drop)
    if found is None:
        raise _missing(name)
    note(f"deleted the list {name}")
    if found.origin == "config":
        note(AGAIN)


def _named(pairs: list[str]) -> tuple[str, ...]:
    return tuple(pair_named(pair) for pair in pairs)


def _find(tx: Tx, name: str) -> Watchlist | None:
    return next((each for each in tx.watchlists(LOCAL_OWNER) if each.name == name), None)


def _changed(
    config_file: ConfigFile,
    data_dir: DataDir,
    name: str,
    pairs: Callable[[tuple[str, ...]], tuple[str, ...]],
    *,
    make: bool = False,
) -> tuple[Watchlist, list[str]]:
    """The list with what `pairs` makes of those that are on it, and the pairs that have been seen. `make`: also if
    it is not there yet."""

    def save(tx: Tx, head: int) -> tuple[Watchlist, list[str]] | None:
        before = _find(tx, name)
        if before is None and not make:
            return None
        wanted = pairs(before.pairs if before else ())
        check_list(name, wanted)
        origin = before.origin if before else "owner"
        return tx.save_watchlist(LOCAL_OWNER, name, wanted, head=head, now=now(), origin=origin), observed(tx)

    saved = change(settings(config_file, data_dir), save, make=make)
    if saved is None:
        raise _missing(name)
    return saved


def _missing(name: str) -> typer.Exit:
    note(f"there is no list {name!r}; `cryptowatcher lists set {name} PAIR...` makes it")
    return typer.Exit(1)


def _answer(watchlist: Watchlist, *, json: bool) -> None:
    if json:
        as_json(watchlist)
    else:
        note(f"on the list {watchlist.name}: {', '.join(watchlist.pairs) or 'nothing'}")
    if watchlist.origin == "config":
        note(AGAIN)
