"""/api/v1/watchlists: the owner's lists of pairs, for rules that are on `list(name)`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from litestar import delete, get, put
from litestar.params import JSONBody, PathParameter

from cryptowatcher.domain.rules.model import Rule, RuleOrigin
from cryptowatcher.domain.rules.watchlists import Watchlist, check_list, in_use, list_of
from cryptowatcher.ports import Tx
from cryptowatcher.web.answers import PairName
from cryptowatcher.web.deps import Deps
from cryptowatcher.web.problems import Problem, documented, not_found

ListName = Annotated[str, PathParameter(description="a list's name: up to 64 of a-z, 0-9, - and _")]


class Pairs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to stand on a list, at most 1000 pairs; none is fine."""

    pairs: tuple[str, ...]


class WatchlistAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A list of pairs.

    origin: `owner`, or `config`: it stands in the configuration file, which counts again at the next start
    rules:  names of the rules that are on it
    unwatched_pairs: those of its pairs that no source has shown yet
    """

    name: str
    pairs: tuple[PairName, ...]
    origin: RuleOrigin
    rules: list[str]
    unwatched_pairs: list[PairName]


class Watchlists(msgspec.Struct, frozen=True, kw_only=True):
    """In order of name."""

    items: list[WatchlistAnswer]


@get("/watchlists", needs="viewer", responses=documented(400), summary="All lists of pairs", tags=["watchlists"])
async def watchlists(deps: Deps) -> Watchlists:
    def read(tx: Tx) -> Watchlists:
        on_lists = [rule for rule in tx.rules(deps.owner) if list_of(rule.spec)]
        return Watchlists(items=[_answer(tx, each, on_lists) for each in tx.watchlists(deps.owner)])

    return await deps.asked.run(read)


@put(
    "/watchlists/{name:str}",
    needs="user",
    responses=documented(400, 422),
    summary="Add or replace a list",
    description="Rules that are on it look at its new pairs from the journal's head on: a pair that came begins "
    "as if the rule were new for it, one that stayed stands where it stood, and of one that left nothing is said "
    "any more. A pair that no source has shown yet is accepted and named in the answer's `unwatched_pairs`.",
    tags=["watchlists"],
)
async def put_watchlist(deps: Deps, name: ListName, data: JSONBody[Pairs]) -> WatchlistAnswer:
    check_list(name, data.pairs)
    head, now = await deps.journal.head(), deps.clock.now()

    def write(tx: Tx) -> WatchlistAnswer:
        before = next((each for each in tx.watchlists(deps.owner) if each.name == name), None)
        origin = before.origin if before else "owner"
        saved = tx.save_watchlist(deps.owner, name, data.pairs, head=head, now=now, origin=origin)
        return _answer(tx, saved, tx.rules_on(deps.owner, name))

    return await deps.store.run(write)


@delete(
    "/watchlists/{name:str}",
    needs="user",
    responses=documented(400, 404, 409),
    summary="Delete a list",
    description="Not while rules are on it: that is a 409.",
    tags=["watchlists"],
)
async def remove_watchlist(deps: Deps, name: ListName) -> None:
    def write(tx: Tx) -> None:
        used_by = tx.rules_on(deps.owner, name)
        if used_by:
            raise Problem(409, in_use(name, used_by))
        if not tx.remove_watchlist(deps.owner, name):
            raise not_found(f"there is no list {name!r}")

    await deps.store.run(write)


def _answer(tx: Tx, watchlist: Watchlist, on_lists: Sequence[Rule]) -> WatchlistAnswer:
    """`on_lists`: rules, at least all that are on this one."""
    watched = {price.pair for price in tx.prices(watchlist.pairs)}
    return WatchlistAnswer(
        name=watchlist.name,
        pairs=watchlist.pairs,
        origin=watchlist.origin,
        rules=[rule.spec.name for rule in on_lists if list_of(rule.spec) == watchlist.name],
        unwatched_pairs=[pair for pair in watchlist.pairs if pair not in watched],
    )
