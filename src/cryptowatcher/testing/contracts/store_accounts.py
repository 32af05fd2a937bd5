"""Accounts, and what proves that one is them."""

from __future__ import annotations

import msgspec
import pytest

from cryptowatcher.domain.accounts import IDLE, Failures, Link, Session, Token, User, id_of
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.ports import Cursor, Step, Tx
from cryptowatcher.testing.contracts.store_case import StoreCase, sample_alert, sample_delivery

HASHED = "$argon2id$…"
ANNA = User(id="u1", name="anna", role="admin", owner=LOCAL_OWNER, password=HASHED, created_at=1)
BEN = User(id="u2", name="ben", role="user", owner="u2", password=HASHED, created_at=2)


def session(digest: str, user: User = ANNA, *, seen_at: int = 10, expires_at: int = 100) -> Session:
    return Session(digest=digest, user=user.id, created_at=10, seen_at=seen_at, expires_at=expires_at)


def token(digest: str, user: User = ANNA, *, created_at: int = 10, expires_at: int = 0) -> Token:
    return Token(
        digest=digest, user=user.id, name="grafana", role="viewer", created_at=created_at, expires_at=expires_at
    )


def link(digest: str, kind: str, *, user: str = "", at: int = 10) -> Link:
    given = {
        "digest": digest,
        "kind": kind,
        "role": "user",
        "user": user,
        "created_at": at,
        "expires_at": at + 100,
    }
    return msgspec.convert(given, Link)


class AccountContract(StoreCase):
    """Accounts, and what proves that one is them."""

    def both(self, tx: Tx) -> None:
        assert tx.add_user(BEN)
        assert tx.add_user(ANNA)

    def test_an_account_is_found_by_its_name_and_by_its_id(self) -> None:
        def job(tx: Tx) -> None:
            assert not tx.has_users()
            self.both(tx)
            assert tx.has_users()
            assert tx.users() == [ANNA, BEN]
            assert (tx.user("u2"), tx.user_named("ben"), tx.user("ben")) == (BEN, BEN, None)

        self.in_store(job)

    @pytest.mark.parametrize("same", [{"name": "anna"}, {"owner": LOCAL_OWNER}, {"id": "u1"}])
    def test_a_name_and_an_owner_belong_to_one_account(self, same: dict[str, str]) -> None:
        def job(tx: Tx) -> None:
            tx.add_user(ANNA)
            assert not tx.add_user(msgspec.structs.replace(BEN, **same))
            assert tx.users() == [ANNA]

        self.in_store(job)

    def test_role_password_and_disabling_can_be_changed(self) -> None:
        changed = msgspec.structs.replace(BEN, role="admin", password=HASHED[::-1], disabled=True)

        def job(tx: Tx) -> None:
            self.both(tx)
            tx.change_user(changed)
            assert tx.users() == [ANNA, changed]

        self.in_store(job)

    def test_admins_are_those_that_are_not_disabled(self) -> None:
        def job(tx: Tx) -> None:
            self.both(tx)
            assert tx.admins() == {"u1"}
            tx.change_user(msgspec.structs.replace(BEN, role="admin"))
            assert tx.admins() == {"u1", "u2"}
            tx.change_user(msgspec.structs.replace(ANNA, disabled=True))
            assert tx.admins() == {"u2"}

        self.in_store(job)

    def test_a_session_and_a_token_lead_to_their_user(self) -> None:
        def job(tx: Tx) -> None:
            self.both(tx)
            tx.add_session(session("s"))
            tx.add_token(token("t", BEN))
            assert tx.session("s") == (session("s"), ANNA)
            assert tx.token("t") == (token("t", BEN), BEN)
            assert (tx.session("t"), tx.token("s")) == (None, None)

        self.in_store(job)

    def test_their_last_use_is_kept(self) -> None:
        def job(tx: Tx) -> None:
            self.both(tx)
            tx.add_session(session("s"))
            tx.add_session(session("s2"))
            tx.add_token(token("t"))
            tx.touch_session("s", 77)
            tx.touch_token("t", 78)
            assert tx.session("s") == (session("s", seen_at=77), ANNA)
            assert [each.used_at for each in tx.tokens("u1")] == [78]
            assert tx.sessions_seen() == {"u1": 77}

        self.in_store(job)

    def test_sessions_end_one_by_one_all_at_once_and_all_but_one(self) -> None:
        def job(tx: Tx) -> None:
            self.both(tx)
            for digest in ("a", "b", "c", "d"):
                tx.add_session(session(digest))
            tx.add_session(session("his", BEN))
            tx.end_session("a")
            assert tx.session("a") is None
            assert [each.digest for each in tx.sessions("u1")] == [
                each.digest for each in sorted(tx.sessions("u1"), key=lambda each: (-each.seen_at, each.digest))
            ]
            assert {each.digest for each in tx.sessions("u1")} == {"b", "c", "d"}
            assert sorted(tx.end_sessions("u1", but="c")) == ["b", "d"]
            assert tx.session("c") is not None
            assert tx.end_sessions("u1") == ["c"]
            assert tx.session("his") is not None

        self.in_store(job)

    def test_a_new_session_forgets_those_that_are_over(self) -> None:
        later = msgspec.structs.replace(session("new"), created_at=IDLE + 50, expires_at=2 * IDLE)

        def job(tx: Tx) -> None:
            self.both(tx)
            tx.add_session(session("old", expires_at=IDLE + 50))
            tx.add_session(session("idle", seen_at=50, expires_at=9 * IDLE))
            tx.add_session(session("good", seen_at=51, expires_at=9 * IDLE))
            tx.add_session(later)
            assert [tx.session(digest) is not None for digest in ("old", "idle", "good", "new")] == [
                False, False, True, True,
            ]  # fmt: skip

        self.in_store(job)

    def test_a_token_is_ended_by_its_user_alone(self) -> None:
        def job(tx: Tx) -> None:
            self.both(tx)
            for number, digest in enumerate(("a" * 64, "b" * 64, "c" * 64)):
                tx.add_token(token(digest, created_at=number))
            assert [each.digest[0] for each in tx.tokens("u1")] == ["c", "b", "a"]
            assert tx.end_tokens("u2", id_of("b" * 64)) == []
            assert tx.end_tokens("u1", "b") == []
            assert tx.end_tokens("u1", id_of("b" * 64)) == ["b" * 64]
            assert sorted(tx.end_tokens("u1")) == ["a" * 64, "c" * 64]

        self.in_store(job)

    def test_what_is_live_is_neither_over_nor_of_somebody_who_is_disabled(self) -> None:
        names = {"good", "over", "idle", "his", "token", "old token", "eternal", "nothing"}

        def job(tx: Tx) -> None:
            self.both(tx)
            now = IDLE + 20
            tx.add_session(session("good", seen_at=21, expires_at=now + 1))
            tx.add_session(session("over", seen_at=21, expires_at=now))
            tx.add_session(session("idle", seen_at=20, expires_at=now + 1))
            tx.add_session(session("his", BEN, seen_at=21, expires_at=now + 1))
            tx.add_token(token("token", expires_at=now + 1))
            tx.add_token(token("old token", expires_at=now))
            tx.add_token(token("eternal", BEN))
            assert tx.live(names, now) == {"good", "his", "token", "eternal"}
            tx.change_user(msgspec.structs.replace(BEN, disabled=True))
            assert tx.live(names, now) == {"good", "token"}
            assert tx.live([], now) == set()

        self.in_store(job)

    def test_a_link_is_good_once_and_until_it_is_over(self) -> None:
        def job(tx: Tx) -> None:
            tx.add_link(link("a", "invite"))
            tx.add_link(link("b", "invite", at=20))
            assert tx.links(30) == [link("b", "invite", at=20), link("a", "invite")]
            assert tx.link("a", 109) == link("a", "invite")
            assert (tx.link("a", 110), tx.use_link("a", 110)) == (None, None)
            assert tx.use_link("a", 109) == link("a", "invite")
            assert (tx.use_link("a", 20), tx.link("a", 20)) == (None, None)

        self.in_store(job)

    def test_a_new_link_takes_the_place_of_the_one_before_for_the_same(self) -> None:
        def job(tx: Tx) -> None:
            for digest, kind, user in (
                ("s1", "setup", ""),
                ("s2", "setup", ""),
                ("r1", "reset", "u1"),
                ("r2", "reset", "u2"),
                ("r3", "reset", "u1"),
                ("i1", "invite", ""),
                ("i2", "invite", ""),
            ):
                tx.add_link(link(digest, kind, user=user))
            assert {each.digest for each in tx.links(20)} == {"s2", "r2", "r3", "i1", "i2"}
            tx.add_link(link("i3", "invite", at=110))
            assert {each.digest for each in tx.links(0)} == {"i3"}

        self.in_store(job)

    @pytest.mark.parametrize(
        ("changes", "left"),
        [
            ({}, {"reset", "invite", "hers"}),
            ({"role": "viewer"}, {"reset", "hers"}),
            ({"password": HASHED[::-1]}, {"hers"}),
            ({"disabled": True}, {"hers"}),
        ],
    )
    def test_links_of_an_account_do_not_outlive_what_they_were_made_by(
        self, changes: dict[str, object], left: set[str]
    ) -> None:
        admin = msgspec.structs.replace(BEN, role="admin")

        def job(tx: Tx) -> None:
            tx.add_user(ANNA)
            tx.add_user(admin)
            tx.add_link(link("reset", "reset", user="u2"))
            tx.add_link(link("invite", "invite", user="u2"))
            tx.add_link(link("hers", "invite", user="u1"))
            tx.change_user(msgspec.structs.replace(admin, **changes))
            assert {each.digest for each in tx.links(20)} == left
            tx.remove_user("u2")
            assert {each.digest for each in tx.links(20)} == {"hers"}

        self.in_store(job)

    def test_only_invitations_are_taken_back_by_their_id(self) -> None:
        def job(tx: Tx) -> None:
            tx.add_link(link("a" * 64, "invite"))
            tx.add_link(link("b" * 64, "setup"))
            assert not tx.remove_link(id_of("b" * 64))
            assert tx.remove_link(id_of("a" * 64))
            assert not tx.remove_link(id_of("a" * 64))

        self.in_store(job)

    def test_failures_are_counted_forgiven_and_forgotten(self) -> None:
        def job(tx: Tx) -> None:
            assert tx.failures(["a", "b"]) == {}
            tx.note_failures({"a": Failures(1, 10), "b": Failures(2, 20)}, forget_before=0)
            tx.note_failures({"a": Failures(3, 30)}, forget_before=20)
            assert tx.failures(["a", "b", "c"]) == {"a": Failures(3, 30), "b": Failures(2, 20)}
            tx.note_failures({}, forget_before=21)
            assert tx.failures(["a", "b"]) == {"a": Failures(3, 30)}
            tx.forgive("a")
            assert tx.failures(["a"]) == {}

        self.in_store(job)

    def test_with_an_account_goes_all_that_speaks_for_it(self) -> None:
        def job(tx: Tx) -> None:
            self.both(tx)
            for user in (ANNA, BEN):
                tx.add_session(session(f"s {user.name}", user))
                tx.add_token(token(f"t {user.name}", user))
                tx.add_link(link(f"l {user.name}", "reset", user=user.id))
                tx.keep_code(user.name, channel="phone", owner=user.owner, expires_at=50, now=1)
                tx.link_chat(user.name, channel="phone", chat=len(user.name), now=2)
                tx.keep_code(user.name, channel="phone", owner=user.owner, expires_at=50, now=1)
            assert sorted(tx.remove_user("u2")) == ["s ben", "t ben"]
            assert tx.remove_user("u2") == []
            assert tx.users() == [ANNA]
            assert (tx.session("s ben"), tx.token("t ben"), tx.link("l ben", 20)) == (None, None, None)
            assert [each.owner for each in tx.linked_chats("phone")] == [LOCAL_OWNER]
            assert tx.link_chat("ben", channel="phone", chat=9, now=2) is None
            assert tx.session("s anna") is not None

        self.in_store(job)

    def test_everybody_finds_their_own_alerts_and_deliveries_and_no_others(self) -> None:
        found = [sample_alert(number, owner=("local", "u2", "u3")[number % 3]) for number in range(9)]

        def job(tx: Tx) -> None:
            sent = [sample_delivery(each) for each in found]
            self.commit(tx, Step(cursor=Cursor("j1", 1, 1000), alerts=found, deliveries=sent))
            for owner in ("local", "u2", "u3"):
                mine = [each for each in reversed(found) if each.owner == owner]
                assert tx.alerts(owner, limit=99) == mine
                assert [each.alert for each in tx.deliveries(owner, limit=99)] == [each.id for each in mine]
            assert tx.alerts("", limit=99) == []

        self.in_store(job)
