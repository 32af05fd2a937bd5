"""`[history]` as people write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryptowatcher.config import load
from cryptowatcher.domain.backfill import Terms
from cryptowatcher.errors import ConfigError


def written(folder: Path, text: str) -> Terms | None:
    file = folder / "cryptowatcher.toml"
    file.write_text(text)
    return load(file, {}).history.terms()


def test_without_settings_half_of_what_is_left_over_is_used_and_no_credit_that_rounds_need(tmp_path: Path) -> None:
    assert written(tmp_path, "") == Terms(share=0.5, credits=0, all_pairs=True)


def test_it_can_be_switched_off_or_given_more(tmp_path: Path) -> None:
    assert written(tmp_path, "[history]\nenabled = false\n") is None
    text = "[history]\nshare = 1.0\ncredits = 300\nall_pairs = false\n"
    assert written(tmp_path, text) == Terms(share=1.0, credits=300, all_pairs=False)


@pytest.mark.parametrize("text", ["share = 0.0", "share = 1.5", "credits = -1", "days = 3"])
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        written(tmp_path, f"[history]\n{text}\n")
    assert "history." in caught.value.where
