"""Chats that are linked, and what was acknowledged."""

from __future__ import annotations

from cryptowatcher.ports import Cursor, Step, Tx
from cryptowatcher.ports.chats import ChatLink, ChatMark
from cryptowatcher.testing.contracts.store_case import StoreCase, sample_alert

GROUP = -1_001_234_567_890
PHONE = 7_123_456_789


class ChatContract(StoreCase):
    """Chats that are linked, and what was acknowledged."""

    def test_a_code_links_one_chat_once(self) -> None:
        def job(tx: Tx) -> None:
            tx.keep_code("hash", channel="phone", owner="local", expires_at=100, now=1)
            assert tx.link_chat("other", channel="phone", chat=PHONE, now=5) is None
            assert tx.link_chat("hash", channel="pager", chat=PHONE, now=5) is None
            assert tx.linked_chats("phone") == []
            assert tx.link_chat("hash", channel="phone", chat=PHONE, now=5) == "local"
            assert tx.link_chat("hash", channel="phone", chat=GROUP, now=5) is None
            assert tx.linked_chats("phone") == [ChatLink(channel="phone", chat=PHONE, owner="local", linked_at=5)]
            assert tx.linked_chats("pager") == []

        self.in_store(job)

    def test_a_code_that_is_over_links_nothing_and_is_forgotten(self) -> None:
        def job(tx: Tx) -> None:
            tx.keep_code("old", channel="phone", owner="local", expires_at=100, now=1)
            assert tx.link_chat("old", channel="phone", chat=PHONE, now=100) is None
            tx.keep_code("new", channel="phone", owner="local", expires_at=200, now=100)
            assert tx.link_chat("old", channel="phone", chat=PHONE, now=1) is None
            assert tx.link_chat("new", channel="phone", chat=PHONE, now=199) == "local"

        self.in_store(job)

    def test_chats_are_unlinked_one_by_one(self) -> None:
        def link(tx: Tx) -> None:
            for chat in (PHONE, GROUP):
                tx.keep_code("hash", channel="phone", owner="local", expires_at=100, now=1)
                tx.link_chat("hash", channel="phone", chat=chat, now=2)

        def job(tx: Tx) -> None:
            assert [link.chat for link in tx.linked_chats("phone")] == [GROUP, PHONE]
            assert not tx.unlink_chat("pager", PHONE)
            assert tx.unlink_chat("phone", PHONE)
            assert not tx.unlink_chat("phone", PHONE)
            assert [link.chat for link in tx.linked_chats("phone")] == [GROUP]

        self.in_store(link, job)

    def test_how_far_a_line_was_heard_is_kept(self) -> None:
        def job(tx: Tx) -> None:
            assert tx.chat_mark("phone 1") is None
            tx.save_chat_mark("phone 1", ChatMark(900_000_000_001, 5))
            tx.save_chat_mark("phone 2", ChatMark(7, 6))
            tx.save_chat_mark("phone 1", ChatMark(3, 9))
            assert (tx.chat_mark("phone 1"), tx.chat_mark("phone 2")) == (ChatMark(3, 9), ChatMark(7, 6))

        self.in_store(job)

    def test_alerts_are_acknowledged_once_and_by_their_owner(self) -> None:
        mine, theirs, other = sample_alert(1), sample_alert(2, owner="another"), sample_alert(3)
        ids = [mine.id, theirs.id, "nothing"]

        def job(tx: Tx) -> None:
            step = Step(cursor=Cursor("j1", 1, 1000), alerts=[mine, theirs, other])
            tx.commit_step(step, epoch=tx.new_epoch("watch"), before=None)
            assert tx.acknowledged([mine.id, theirs.id]) == {}
            assert tx.acknowledge("local", ids, 7) == 1
            assert tx.acknowledge("local", ids, 8) == 0
            assert tx.acknowledged([*ids, other.id]) == {mine.id: 7}
            assert tx.acknowledge("local", [], 8) == 0
            many = [f"{number:032x}" for number in range(40_000)]
            assert tx.acknowledged([*many, mine.id]) == {mine.id: 7}

        self.in_store(job)

    def test_what_was_acknowledged_goes_with_its_alert(self) -> None:
        old, new = sample_alert(1), sample_alert(500)

        def job(tx: Tx) -> None:
            step = Step(cursor=Cursor("j1", 1, 1000), alerts=[old, new])
            tx.commit_step(step, epoch=tx.new_epoch("watch"), before=None)
            assert tx.acknowledge("local", [old.id, new.id], 7) == 2
            tx.trim_alerts(new.event_time)
            assert tx.acknowledged([old.id, new.id]) == {new.id: 7}

        self.in_store(job)
