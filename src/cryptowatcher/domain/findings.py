"""What is wrong or will be, and what a person can do about it."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

State = Literal["ok", "warning", "wrong"]


class Told(msgspec.Struct, frozen=True):
    """One finding of one check.

    state: `warning` may become a trouble, `wrong` is one
    todo:  what a person can do about it
    """

    section: str
    name: str
    state: State
    said: str
    todo: str = ""


OF_CHECKS: Final = {
    "pipeline": "what it says of itself; if it is silent, see its log and start the watcher again",
    "store": "the disk, or the database: `cryptowatcher doctor` says which",
    "journal": "the pipeline writes nothing: see its log, then start the watcher again; that is recovery",
    "watch": "it catches up by itself after a start; if it stays behind, this machine is too busy",
    "source": "`cryptowatcher check --online` asks each source once and says what came back",
    "sources": "none has answered yet: `cryptowatcher check --online` asks each once",
}
"""What to look at when a check of health fails, by the part of its name before the colon."""

_BY_ITSELF: Final = "nothing now: it is asked again by itself"
_NETWORK: Final = (
    "look whether this machine reaches the internet; it is asked again by itself, and "
    "`cryptowatcher check --online` says what comes back"
)
_LESS: Final = (
    "nothing now: it waits as long as it was told, and goes on by itself. If this comes often, ask less (`every` "
    "or `top` of the source), or get a free demo key from CoinGecko"
)
_SETTINGS: Final = "see what it says, change [[sources]] in the configuration and start the watcher again"
_OF_SOURCES: Final = {
    "rate_limited": _LESS,
    "banned": "this address asked too often and is shut out for a while: it goes on by itself. Does another "
    "program here ask the same source?",
    "connect": _NETWORK,
    "dns": "the name of the source is not found: look at this machine's DNS; it is asked again by itself",
    "tls": "the connection is not secure: look at this machine's clock, and at what stands between it and the "
    "source",
    "proxy": "look at the proxy that HTTPS_PROXY names",
    "timeout": _NETWORK,
    "server_error": _BY_ITSELF,
    "held": "nothing: prices that jumped are held until the next ones agree",
    "market_wide": "nothing: most prices jumped at once, so they are held until several answers agree",
    "frozen": "nothing: the source repeats old prices, and they are not taken for new ones",
    "forbidden": _SETTINGS,
    "user_agent": _SETTINGS,
    "bad_request": _SETTINGS,
    "client_error": _SETTINGS,
    "forbidden_address": _SETTINGS,
}
_OF_PAIRS: Final = {
    "not_listed": "it is not on the source's list any more",
    "null_price": "the source has no price for it",
    "no_price": "the source has no price for it",
    "missing": "the source does not answer for it: perhaps it is misspelt, or was renamed",
    "not_positive": "the source says a price of nothing",
    "not_finite": "what the source says is no number",
    "not_a_number": "what the source says is no number",
    "no_time": "the source does not say of when its price is",
    "future": "the source's price is from the future: is this machine's clock right?",
    "stale": "the source's price is old",
    "unchanged": "the source repeats an old price",
    "held": "its price jumped, and is held until another one agrees",
}


def about_pair(reason: str) -> str:
    """Why a pair is not seen, in words, for the word that says why."""
    return _OF_PAIRS.get(reason, f"the source does not answer: {reason}")


def about_check(name: str) -> str:
    """What to look at when a check of health fails."""
    return OF_CHECKS.get(name.partition(":")[0], "docs/operations.md says what this check means")


def about_source(reason: str) -> str:
    """What to do about a source that cannot see, for the word that says why."""
    return _OF_SOURCES.get(reason, OF_CHECKS["source"])
