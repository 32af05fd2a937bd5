"""What the pipeline needs from outside, as small promises. Adapters keep them; contract suites check them."""

from __future__ import annotations

from cryptowatcher.ports.channels import Channel
from cryptowatcher.ports.journal import Journal, Trimmed
from cryptowatcher.ports.scores import ScoreTx
from cryptowatcher.ports.sources import HistorySource, Observations, Pace, Source
from cryptowatcher.ports.store import (
    Cursor,
    Fenced,
    OutboxTx,
    ReadTx,
    RulesTx,
    SourceTx,
    Step,
    Store,
    Tx,
    WatchlistTx,
    WatchTx,
)
from cryptowatcher.ports.summaries import SummaryTx
from cryptowatcher.ports.tidy import Slice, TidyTx
from cryptowatcher.ports.traces import Answer, Traces
from cryptowatcher.ports.world import Clock, Deps, Resolve, Secret

__all__ = [
    "Answer",
    "Channel",
    "Clock",
    "Cursor",
    "Deps",
    "Fenced",
    "HistorySource",
    "Journal",
    "Observations",
    "OutboxTx",
    "Pace",
    "ReadTx",
    "Resolve",
    "RulesTx",
    "ScoreTx",
    "Secret",
    "Slice",
    "Source",
    "SourceTx",
    "Step",
    "Store",
    "SummaryTx",
    "TidyTx",
    "Traces",
    "Trimmed",
    "Tx",
    "WatchTx",
    "WatchlistTx",
]
