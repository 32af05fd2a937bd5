"""Roles, names, passwords, and how long a proof is good."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.accounts import (
    FORGOTTEN_AFTER,
    IDLE,
    OF_ACCOUNT,
    OF_ADDRESS,
    ROLES,
    Failures,
    Limit,
    Session,
    Token,
    check_name,
    check_password,
    digest_of,
    id_of,
    is_good,
    lesser,
    lives,
    may,
    normal,
    one_more,
    wait,
)
from cryptowatcher.errors import ConfigError

NOW = 1_800_000_000_000


def test_each_role_may_do_what_those_before_it_may() -> None:
    assert [[may(role, needs) for needs in ROLES] for role in ROLES] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
    assert (lesser("admin", "viewer"), lesser("viewer", "admin"), lesser("user", "user")) == (
        "viewer",
        "viewer",
        "user",
    )


@pytest.mark.parametrize(
    ("typed", "kept"), [(" Anna ", "anna"), ("ben@example.org", "ben@example.org"), ("0x", "0x")]
)
def test_a_name_is_kept_in_small_letters(typed: str, kept: str) -> None:
    assert check_name(typed) == kept


@pytest.mark.parametrize("name", ["", " ", "-anna", "an na", "<b>", "аnna", "a" * 65, "a\n", "a/b", "a#b"])
def test_what_could_be_taken_for_another_name_is_none(name: str) -> None:
    if name != "a\n":  # blanks at the ends do not count
        with pytest.raises(ConfigError) as caught:
            check_name(name)
        assert caught.value.where == "name"


@pytest.mark.parametrize(
    "password",
    [
        "tall green ladder",
        "correct horse battery staple",
        "xT9$kQ2!vBn7",
        "пароль от кошки",
        "k" * 5 + "vwt 92 moon",
    ],
)
def test_a_long_password_is_enough(password: str) -> None:
    assert check_password(password, "anna") == normal(password)


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "elevenchars",
        "a" * 12,
        "abababababab",
        "abcdabcdabcdabcd",
        "password1234",
        "PassWord!!!1234",
        "123456789012",
        "qwertyuiop12",
        "annaannaanna1",
        "bitcoinbitcoin",
        "cryptowatcher1",
        "zyxwvutsrqpo",
        "long " * 60,
    ],
)
def test_what_is_short_or_tried_first_is_refused(password: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_password(password, "anna", where="new")
    assert caught.value.where == "new"


def test_the_same_letters_are_the_same_password_however_they_are_typed() -> None:
    assert normal("café au lait") == normal("cafe\u0301 au lait")


@given(st.text(max_size=300), st.text(max_size=20))
def test_any_password_is_judged_without_an_error_of_ours(password: str, name: str) -> None:
    with suppress(ConfigError):
        assert len(check_password(password, name)) >= 12


def test_a_session_ends_when_it_is_not_used_and_in_any_case() -> None:
    session = Session(digest="x", user="u", created_at=NOW, seen_at=NOW, expires_at=NOW + 2 * IDLE)
    assert [lives(session, NOW + later) for later in (0, IDLE - 1, IDLE)] == [True, True, False]
    short = Session(digest="x", user="u", created_at=NOW, seen_at=NOW, expires_at=NOW + 5)
    assert [lives(short, NOW + later) for later in (4, 5)] == [True, False]


def test_a_token_ends_at_its_time_or_never() -> None:
    token = Token(digest="x", user="u", name="n", role="user", created_at=NOW)
    assert is_good(token, NOW * 2)
    ending = Token(digest="x", user="u", name="n", role="user", created_at=NOW, expires_at=NOW + 5)
    assert [is_good(ending, NOW + later) for later in (4, 5)] == [True, False]


def test_an_id_tells_nothing_of_the_secret() -> None:
    assert id_of(digest_of("cw_secret")) == digest_of("cw_secret")[:16]
    assert "secret" not in digest_of("cw_secret")


@pytest.mark.parametrize(
    ("limit", "count", "seconds"),
    [
        (OF_ACCOUNT, 4, 0),
        (OF_ACCOUNT, 5, 1),
        (OF_ACCOUNT, 6, 2),
        (OF_ACCOUNT, 10, 32),
        (OF_ACCOUNT, 11, 60),
        (OF_ACCOUNT, 10_000, 60),
        (OF_ADDRESS, 19, 0),
        (OF_ADDRESS, 20, 1),
        (OF_ADDRESS, 30, 900),
    ],
)
def test_waits_double_up_to_their_longest(limit: Limit, count: int, seconds: int) -> None:
    assert wait(Failures(count, NOW), limit, NOW) == seconds * 1000
    assert wait(Failures(count, NOW), limit, NOW + seconds * 1000) == 0


def test_failures_are_forgotten_after_a_day_without_one() -> None:
    failed = Failures(50, NOW)
    assert one_more(failed, NOW + FORGOTTEN_AFTER - 1) == Failures(51, NOW + FORGOTTEN_AFTER - 1)
    assert one_more(failed, NOW + FORGOTTEN_AFTER) == Failures(1, NOW + FORGOTTEN_AFTER)


@given(st.integers(0, 200), st.integers(0, 2**50), st.integers(0, 2**50))
def test_whatever_the_clock_does_nobody_waits_longer_than_the_longest(count: int, last: int, now: int) -> None:
    assert 0 <= wait(Failures(count, last), OF_ACCOUNT, now) <= OF_ACCOUNT.longest


def test_somebody_who_fails_on_purpose_gets_fewer_than_two_thousand_tries_a_day() -> None:
    failures, now, tries = Failures(), NOW, 0
    while now < NOW + FORGOTTEN_AFTER:
        now += wait(failures, OF_ACCOUNT, now)
        failures, tries = one_more(failures, now), tries + 1
    assert tries < 2_000
