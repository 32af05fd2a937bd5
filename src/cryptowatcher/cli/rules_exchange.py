"""`cryptowatcher rules export` and `rules import`: rules as a file, and such a file as rules."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, settings
from cryptowatcher.cli.output import as_json, counted, note, now, table
from cryptowatcher.cli.storage import change, read
from cryptowatcher.config import name_of
from cryptowatcher.domain.rules import exchange
from cryptowatcher.domain.rules.exchange import Judged
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.errors import ConfigError
from cryptowatcher.exchanging import Taken, take_in, take_out
from cryptowatcher.ports import Tx

STANDARD = Path("-")


def export_rules(
    file: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="Where to; standard output without it.")
    ] = STANDARD,
    rules: Annotated[
        list[str] | None, typer.Option("--rule", metavar="RULE", help="A name or id, repeatable; all without it.")
    ] = None,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Write rules as TOML, [[rules]] as the configuration reads it, with the lists of pairs that they are on."""
    wanted = frozenset(rules or ())

    def find(tx: Tx) -> tuple[str, list[str]]:
        found = tx.rules(LOCAL_OWNER)
        missing = wanted - {rule.id for rule in found} - {rule.spec.name for rule in found}
        return take_out(tx, LOCAL_OWNER, wanted), sorted(missing)

    text, missing = read(settings(config_file, data_dir), find)
    if missing:
        hint = "see `cryptowatcher rules list`"
        raise ConfigError(f"there is no rule {missing[0]!r}", where="--rule", hint=hint)
    if file == STANDARD:
        print(text, end="")
        return
    file.write_text(text, encoding="utf-8")
    note(f"wrote {counted(text.count('[[rules]]'), 'rule')} to {file}")


def import_rules(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file with [[rules]]; - is standard input.")],
    write: Annotated[
        bool, typer.Option("--write", help="Save them; without it this only says what would be.")
    ] = False,
    leave_out: Annotated[
        bool, typer.Option("--leave-out", help="Save the others where some are refused; else nothing is saved.")
    ] = False,
    json: AsJson = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Take rules in from a file: says of each whether it is added, changed, the same or refused, with line and
    reason. With --write they are saved, all at once or, where one is refused, none. With --json one document.

    Exit code 1 when rules are refused and nothing was written.
    """
    config = settings(config_file, data_dir)
    document = exchange.read(_text(file))
    channels = [name_of(channel) for channel in config.channels]

    def take(tx: Tx, head: int) -> Taken:
        return take_in(
            tx, LOCAL_OWNER, document, channels=channels, head=head, now=now(), write=write, leave_out=leave_out
        )

    taken = change(config, take, make=True) if write else read(config, lambda tx: take(tx, 0))
    if json:
        as_json(taken)
    else:
        _show(taken, write=write)
    if taken.count("refused") and not taken.done:
        raise typer.Exit(1)


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if file == STANDARD else file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError("the file is not UTF-8 text", where=str(file)) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(file)) from None


def _show(taken: Taken, *, write: bool) -> None:
    rows = [(rule.verdict, str(rule.line), rule.name, _said(rule)) for rule in taken.rules]
    table(("", "Line", "Rule", ""), rows, right=("Line",))
    if taken.besides:
        note(f"passed over, because they are no rules: {', '.join(taken.besides)}")
    counts = ", ".join(
        f"{taken.count(verdict)} {verdict}"
        for verdict in ("added", "changed", "same", "refused")
        if taken.count(verdict)
    )
    if taken.done:
        note(f"done: {counts}")
    elif write and taken.count("refused"):
        note(f"nothing was written: {counts}. Mend what is refused, or leave it out with --leave-out")
    elif write:
        note(f"nothing to do: {counts}")
    else:
        note(f"nothing was written: {counts}. Say --write to do it")


def _said(rule: Judged) -> str:
    if rule.verdict == "refused":
        place = f"{rule.where}: " if rule.where else ""
        return f"{place}{rule.problem}{f' ({rule.hint})' if rule.hint else ''}"
    return "; ".join(rule.changes)
