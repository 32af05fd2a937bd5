"""`cryptowatcher explain`: what is known of a pair's move."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cryptowatcher import app as composition
from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, new_app, pair_named, settings
from cryptowatcher.cli.output import as_json, console, moment, note, now
from cryptowatcher.config import Config
from cryptowatcher.domain.intervals import parse_duration, show_duration
from cryptowatcher.domain.moves import PairMove
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.errors import ConfigError, Unavailable
from cryptowatcher.explaining import LONGEST, SHORTEST, explain_move

app = new_app()


@app.command()
def explain(
    pair: Annotated[str, typer.Argument(help="bitcoin, ethereum/usd, …")],
    last: Annotated[
        str, typer.Option("--last", metavar="DURATION", help="How long it took: 1h, 24h, 7d.")
    ] = "24h",
    ago: Annotated[str, typer.Option("--ago", metavar="DURATION", help="How long ago it ended.")] = "0s",
    json: AsJson = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """What is known of a move: how far, how unusual, and what else was so in that time.

    Against the pair's own past, bitcoin, the market and the usual volume; who observed it, and your alerts in it.
    It never says why. Exit code 1 when the pair is not watched. With --json one document, as the API gives it.
    """
    name, config = pair_named(pair), settings(config_file, data_dir)
    end = now() - parse_duration(ago, where="--ago")
    length = parse_duration(last, where="--last")
    if not SHORTEST <= length <= LONGEST:
        bounds = f"{show_duration(SHORTEST)} to {show_duration(LONGEST)}"
        raise ConfigError(f"a move is {bounds} long", where="--last")
    found = asyncio.run(_explained(config, name, end - length, end))
    if found is None:
        note(f"{name} is not watched; see `cryptowatcher prices`")
        raise typer.Exit(1)
    if json:
        as_json(found)
        return
    console().print(f"{moment(found.from_ms)} … {moment(found.to_ms)} UTC", style="dim")
    for sentence in found.says:
        console().print(sentence.says, markup=False, soft_wrap=True)


async def _explained(config: Config, pair: str, start: int, end: int) -> PairMove | None:
    try:
        async with (
            config.store.open(composition.deps(config), readonly=True) as store,
            composition.open_journal(config, readonly=True) as journal,
        ):
            if not await store.run(lambda tx: tx.prices([pair])):
                return None
            return await explain_move(store, journal, pair, start=start, end=end, owner=LOCAL_OWNER, now=now())
    except Unavailable as error:
        if error.reason != "not_ready":
            raise
        message = f"nothing is stored in {config.data_dir} yet: start `cryptowatcher run`"
        raise Unavailable(message, reason=error.reason) from None
