"""/api/v1/rules/export and /import: the owner's rules as a file, and such a file as rules."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.params import JSONBody, QueryParameter

from cryptowatcher.domain.rules.exchange import Verdict, as_given, read
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.errors import ConfigError
from cryptowatcher.exchanging import Taken, take_in, take_out
from cryptowatcher.web.deps import Deps
from cryptowatcher.web.problems import documented

MOST_BYTES = 8_000_000
"""Of a body with rules: some ten thousand of them."""

Wanted = Annotated[
    str | None, QueryParameter(max_length=20_000, description="ids of rules, with commas between; all without it")
]


class RulesToTake(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of `text` (TOML, as the configuration has it) and `rules`.

    write:     false only says what would be done
    leave_out: take the others where some are refused; else nothing is taken then
    """

    text: str = ""
    rules: tuple[RuleSpec, ...] = ()
    write: bool = False
    leave_out: bool = False


class JudgedRule(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one rule. `line` is that in the text, 0 without one; `changes` are its fields that are no
    longer what they were; `problem`, `where` (the field) and `hint` say why it is refused."""

    verdict: Verdict
    name: str
    line: int
    changes: tuple[str, ...]
    where: str
    problem: str
    hint: str


class TakenRules(msgspec.Struct, frozen=True, kw_only=True):
    """`done`: whether anything was written; `lists`: names of lists of pairs that are made with it; `besides`:
    settings in the text that are no rules, and were passed over."""

    done: bool
    items: list[JudgedRule]
    lists: list[str]
    besides: list[str]


TakeBody = JSONBody[RulesToTake]


@get(
    "/rules/export",
    needs="viewer",
    responses=documented(400),
    media_type="application/toml; charset=utf-8",
    summary="Rules as a file",
    description="TOML with [[rules]], as the configuration reads it, and the [watchlists] that they are on.",
    tags=["rules"],
)
async def export_rules(deps: Deps, rule: Wanted = None) -> Response[str]:
    wanted = frozenset(rule.split(",")) if rule else frozenset[str]()
    text = await deps.asked.run(lambda tx: take_out(tx, deps.owner, wanted))
    return Response(text, headers={"content-disposition": 'attachment; filename="rules.toml"'})


@post(
    "/rules/import",
    needs="user",
    status_code=200,
    responses=documented(400, 413, 422),
    request_max_body_size=MOST_BYTES,
    summary="Take rules in",
    description="Says of each rule what becomes of it: added, changed, the same, or refused and why. With `write` "
    "they are saved, all in one transaction; where one is refused nothing is, unless `leave_out` says so.",
    tags=["rules"],
)
async def import_rules(deps: Deps, data: TakeBody) -> TakenRules:
    if bool(data.text) == bool(data.rules):
        raise ConfigError("one of `text` and `rules` is needed", where="text")
    reading = partial(read, data.text) if data.text else partial(as_given, data.rules)
    document = await asyncio.to_thread(reading)  # thousands of conditions take a second
    head, now = await deps.journal.head(), deps.clock.now()
    store = deps.store if data.write else deps.asked
    taken = await store.run(
        lambda tx: take_in(
            tx,
            deps.owner,
            document,
            channels=deps.channels,
            head=head,
            now=now,
            write=data.write,
            leave_out=data.leave_out,
        )
    )
    return _answer(taken)


def _answer(taken: Taken) -> TakenRules:
    items = [
        JudgedRule(**{name: getattr(rule, name) for name in JudgedRule.__struct_fields__}) for rule in taken.rules
    ]
    return TakenRules(done=taken.done, items=items, lists=taken.lists, besides=list(taken.besides))
