"""Channels that people add, what they prefer, and how channels are."""

from __future__ import annotations

import msgspec

from cryptowatcher.domain.accounts import User
from cryptowatcher.domain.channel_names import own_address
from cryptowatcher.domain.reaching import ChannelFacts, Heard, Preferences, Setting, StoredChannel
from cryptowatcher.ports import Tx
from cryptowatcher.testing.contracts.store_case import StoreCase, sample_alert, sample_delivery

SETTING = Setting(channels=("ops",), needs={"ntfy": "user"})


def stored(owner: str = "local", name: str = "phone", topic: str = "secret") -> StoredChannel:
    settings = {"server": "https://ntfy.example", "chats": [1, 2]}
    return StoredChannel(
        owner=owner, name=name, kind="ntfy", settings=settings, secrets={"topic": topic}, changed_at=7
    )


def user(owner: str, **said: object) -> User:
    plain = User(id=owner, name=owner, role="admin", owner=owner, password="", created_at=1)
    return msgspec.structs.replace(plain, **said)


class ReachingContract(StoreCase):
    """Who is reached where."""

    def test_a_channel_is_its_owners_and_comes_back_as_it_was_saved(self) -> None:
        def job(tx: Tx) -> None:
            mine, theirs = tx.save_channel(stored()), tx.save_channel(stored("anna", topic="other"))
            assert theirs.version > mine.version > 0
            reach = tx.reach(SETTING)
            assert (reach.own("local"), reach.own("anna")) == ({"phone": mine}, {"phone": theirs})
            assert tx.reach(SETTING, owner="anna").stored == (theirs,)
            changed = tx.save_channel(stored(topic="new"))
            assert changed.version > theirs.version
            assert tx.reach(SETTING).stored == (theirs, changed)
            assert tx.remove_channel("anna", "phone")
            assert not tx.remove_channel("anna", "phone")
            assert tx.reach(SETTING).stored == (changed,)

        self.in_store(job)

    def test_whatever_reaching_depends_on_has_a_number_that_grows(self) -> None:
        def job(tx: Tx) -> None:
            numbers = [tx.reach_number()]
            assert numbers == [0]
            for change in (
                lambda: tx.save_channel(stored()),
                lambda: tx.remove_channel("local", "phone"),
                lambda: tx.save_preferences("local", Preferences(quiet="22:00-07:00")),
                lambda: tx.add_user(user("anna")),
                lambda: tx.change_user(user("anna", role="user")),
                lambda: tx.remove_user("anna"),
            ):
                change()
                numbers.append(tx.reach_number())
            assert numbers == sorted(set(numbers))
            assert tx.reach(SETTING).number == numbers[-1]

        self.in_store(job)

    def test_an_account_that_is_removed_takes_its_channels_and_wishes_along(self) -> None:
        def job(tx: Tx) -> None:
            tx.add_user(user("anna"))
            for owner in ("anna", "local"):
                tx.save_channel(stored(owner))
                tx.save_preferences(owner, Preferences(group_from=9))
            tx.remove_user("anna")
            reach = tx.reach(SETTING)
            assert [each.owner for each in reach.stored] == ["local"]
            assert [*reach.preferences] == ["local"]
            assert reach.people == ()

        self.in_store(job)

    def test_preferences_are_each_owners_and_what_is_left_open_stays_open(self) -> None:
        def job(tx: Tx) -> None:
            mine = Preferences(time_zone="Europe/Berlin", summary="", channels=("phone",))
            tx.save_preferences("anna", Preferences(quiet="22:00-07:00"))
            tx.save_preferences("anna", mine)
            assert tx.reach(SETTING).preferences == {"anna": mine}

        self.in_store(job)

    def test_a_channel_fails_from_its_first_refusal_until_it_takes_a_message(self) -> None:
        def job(tx: Tx) -> None:
            def facts() -> ChannelFacts:
                return tx.channel_facts("local", ["a"], since=0, most=10)["a"]

            assert facts() == ChannelFacts()
            tx.note_heard([Heard(channel="a", at=5, error="no"), Heard(channel="b", at=6)])
            tx.note_heard([Heard(channel="a", at=8, error="not now")])
            assert facts() == ChannelFacts(failing_since=5, error="not now")
            tx.note_heard([Heard(channel="a", at=9)])
            assert facts() == ChannelFacts(sent_at=9)
            tx.note_heard([Heard(channel="a", at=11, error="no")])
            assert facts() == ChannelFacts(sent_at=9, failing_since=11, error="no")

        self.in_store(job)

    def test_a_channel_that_is_removed_and_added_again_does_not_fail_since_before(self) -> None:
        def job(tx: Tx) -> None:
            address = tx.save_channel(stored()).address
            tx.note_heard([Heard(channel=address, at=5, error="no"), Heard(channel="phone", at=5, error="no")])
            tx.remove_channel("local", "phone")
            found = tx.channel_facts("local", [address, "phone"], since=0, most=10)
            assert (found[address].failing_since, found["phone"].failing_since) == (0, 5)

        self.in_store(job)

    def test_what_waits_and_what_was_given_up_is_counted_for_its_owner(self) -> None:
        def job(tx: Tx) -> None:
            mine, theirs = own_address("local", "phone"), own_address("anna", "phone")
            states = [("queued", 0), ("retrying", 0), ("sent", 5), ("given_up", 5), ("given_up", 50)]
            for number, (state, finished) in enumerate(states):
                for owner, channel in (("local", mine), ("anna", theirs)):
                    delivery = sample_delivery(sample_alert(number, owner=owner), channel)
                    said = {"owner": owner, "state": state, "finished_at": finished, "id": f"{number}~{channel}"}
                    tx.queue([msgspec.structs.replace(delivery, **said)])
            found = tx.channel_facts("local", [mine, theirs], since=10, most=100)
            assert (found[mine].queued, found[mine].given_up) == (2, 1)
            assert (found[theirs].queued, found[theirs].given_up) == (0, 0)
            assert tx.channel_facts("local", [mine], since=0, most=1)[mine] == ChannelFacts(queued=1, given_up=1)

        self.in_store(job)
