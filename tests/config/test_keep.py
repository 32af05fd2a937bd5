"""`[keep]` as people write it."""

from __future__ import annotations

import pytest

from cryptowatcher.config.keep import Keep, parse_size
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.retention import Retention
from cryptowatcher.errors import ConfigError


def test_without_settings_it_is_what_tidy_does_by_itself() -> None:
    kept = Keep().retention()
    assert (kept.journal, kept.minutes, kept.alerts) == (7 * MS["d"], 90 * MS["d"], 730 * MS["d"])
    assert kept.canary == Retention().canary == MS["d"]


@pytest.mark.parametrize(
    ("text", "size"),
    [("16MB", 16_000_000), ("10GB", 10 * 10**9), ("1.5TB", 15 * 10**11), ("2 GiB", 2 * 2**30)],
)
def test_sizes_are_written_with_their_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "10", "GB", "-1GB", "1e9GB", "10 gb", "15MB", "1.GB", "٣GB", "9" * 99 + "GB"]
)
def test_what_is_no_size_or_too_little_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Keep(journal_size=text)
    assert caught.value.where == "keep.journal_size"


@pytest.mark.parametrize(
    ("setting", "text"), [("journal", "6d23h"), ("minutes", "1h"), ("alerts", "0d"), ("journal", "a week")]
)
def test_ages_below_what_is_promised_are_refused(setting: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Keep(**{setting: text})
    assert caught.value.where == f"keep.{setting}"
