"""`cryptowatcher alerts summary`."""

from __future__ import annotations

import msgspec
from rich.text import Text

from cryptowatcher.adding import setting_of
from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, settings
from cryptowatcher.cli.output import as_json, console, now
from cryptowatcher.cli.storage import ask, read
from cryptowatcher.config.kinds import Kinds
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.domain.summary import Summary, summary_text
from cryptowatcher.summarizing import summarize


class Said(Summary, frozen=True, kw_only=True):
    """A summary and its words."""

    title: str
    body: str


def summary(json: AsJson = False, config_file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """What the summary would say now. Nothing is sent.

    It is of the time since the last one was due; where `[owner] summary` names no time, of today. With --json one
    document: its numbers and its words, times in epoch milliseconds.
    """
    config = settings(config_file, data_dir)
    setting = setting_of(config, Kinds())
    wishes = read(config, lambda tx: tx.reach(setting, owner=LOCAL_OWNER)).wishes(LOCAL_OWNER)
    plan, end = wishes.plan_or_days(), now()
    begin = plan.times.last(end)
    found = ask(config, lambda store: summarize(store, LOCAL_OWNER, begin, end))
    text = summary_text(found, plan.name, plan.zone)
    if json:
        as_json(Said(**msgspec.structs.asdict(found), title=text.title, body=text.body))
    else:
        console().print(Text(f"{text.title}\n\n{text.body}"), soft_wrap=True)
