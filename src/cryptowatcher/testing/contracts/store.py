"""What every store promises, one test a sentence. A test class joins by saying how to open one.

class TestPaperStore(StoreContract):
    def opening(self): return open_paper_store(self.folder)
"""

from __future__ import annotations

from cryptowatcher.testing.contracts.store_accounts import AccountContract
from cryptowatcher.testing.contracts.store_bundles import BundleContract
from cryptowatcher.testing.contracts.store_chats import ChatContract
from cryptowatcher.testing.contracts.store_checkpoints import CheckpointContract
from cryptowatcher.testing.contracts.store_keys import KeyContract
from cryptowatcher.testing.contracts.store_life import LifeContract
from cryptowatcher.testing.contracts.store_outbox import OutboxContract
from cryptowatcher.testing.contracts.store_reaching import ReachingContract
from cryptowatcher.testing.contracts.store_reads import ReadContract
from cryptowatcher.testing.contracts.store_rule_facts import RuleFactsContract
from cryptowatcher.testing.contracts.store_rules import RulesContract
from cryptowatcher.testing.contracts.store_scores import ScoreContract
from cryptowatcher.testing.contracts.store_steps import StepContract
from cryptowatcher.testing.contracts.store_summaries import SummaryContract
from cryptowatcher.testing.contracts.store_tidy import TidyContract
from cryptowatcher.testing.contracts.store_watchlists import WatchlistContract


class StoreContract(
    StepContract,
    OutboxContract,
    BundleContract,
    RulesContract,
    RuleFactsContract,
    WatchlistContract,
    LifeContract,
    ReadContract,
    CheckpointContract,
    ScoreContract,
    TidyContract,
    ChatContract,
    SummaryContract,
    ReachingContract,
    AccountContract,
    KeyContract,
):
    """All of it."""
