"""`[owner]`: what people want of all channels, and what is wrong with it said where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryptowatcher.config import Config, load
from cryptowatcher.domain.summary import daily, plan_of
from cryptowatcher.errors import ConfigError

PHONE = """
[[channels]]
kind = "console"
name = "phone"
"""


def loaded(folder: Path, text: str) -> Config:
    path = folder / "cryptowatcher.toml"
    path.write_text(text)
    return load(path, {})


def test_a_summary_comes_by_the_owners_clock_to_the_channels_named(tmp_path: Path) -> None:
    text = '[owner]\ntime_zone = "Europe/Berlin"\nsummary = "weekly mon 08:00"\nsummary_to = ["phone"]\n' + PHONE
    owner = loaded(tmp_path, text).owner
    assert owner.wishes().plan() == plan_of("weekly mon 08:00", "Europe/Berlin", ("phone",))
    assert owner.wishes().plan_or_days() == owner.wishes().plan()


def test_without_a_plan_none_comes_and_each_day_is_summed_up_for_who_asks(tmp_path: Path) -> None:
    owner = loaded(tmp_path, '[owner]\ntime_zone = "Europe/Berlin"\n').owner
    assert owner.wishes().plan() is None
    assert owner.wishes().plan_or_days() == daily("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ('summary = "hourly"', "owner.summary", "daily 08:00"),
        ('summary = "weekly mo 08:00"', "owner.summary", "daily 08:00"),
        ('summary_to = ["phone", "mial"]', "owner.summary_to[1]", "there are: phone"),
        ('time_zone = "Europe/Berlni"', "owner.time_zone", "Europe/Berlin"),
        ('quiet = "00:00-24:00"', "owner.quiet", "urgent"),
        # Together they are all day, in this zone: nothing would ever be sent.
        ('time_zone = "Europe/Berlin"\nquiet = "00:00-12:00; 12:00-24:00 Europe/Berlin"', "owner.quiet", "urgent"),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(tmp_path: Path, text: str, where: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, f"[owner]\n{text}\n{PHONE}")
    assert where in caught.value.where
    assert words in caught.value.hint


def test_quiet_hours_of_a_channel_must_end_in_the_owners_time_zone(tmp_path: Path) -> None:
    quiet = 'quiet = "00:00-12:00; 12:00-24:00 Europe/Berlin"\n'
    assert loaded(tmp_path, PHONE + quiet)
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, f'[owner]\ntime_zone = "Europe/Berlin"\n{PHONE}{quiet}')
    assert "channels" in caught.value.where
