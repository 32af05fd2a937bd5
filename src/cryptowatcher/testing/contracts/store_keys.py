"""Keys of the installation itself."""

from __future__ import annotations

from cryptowatcher.ports import Tx
from cryptowatcher.ports.keys import PushKey
from cryptowatcher.testing.contracts.store_case import StoreCase


class KeyContract(StoreCase):
    """Keys of the installation itself."""

    def test_the_first_key_that_was_kept_stays(self) -> None:
        def job(tx: Tx) -> None:
            first, second = PushKey("private", "public"), PushKey("another", "key")
            assert tx.push_key() is None
            assert tx.keep_push_key(first) == first
            assert tx.keep_push_key(second) == first
            assert tx.push_key() == first

        self.in_store(job)
