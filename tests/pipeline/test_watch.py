"""The real Watch on the real journal and store: whatever happens to it, the same records give the same alerts."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.testing import virtual_time
from tests.domain.journals import Journey, examples, journeys
from tests.pipeline.lives import live


def lived(journey: Journey, seed: int, *, trouble: float) -> None:
    """Whatever became of its processes, the store holds what one straight run makes of the journal."""
    with tempfile.TemporaryDirectory() as folder:
        there, expected = virtual_time.run(lambda: live(journey, Random(seed), Path(folder), trouble=trouble))
    assert there == expected


@examples(15)
@given(journeys(records=30), st.integers(0, 2**32))
def test_cuts_restarts_and_edits_while_watch_lags_change_no_byte(journey: Journey, seed: int) -> None:
    lived(journey, seed, trouble=0.0)


@examples(30)
@given(journeys(records=30), st.integers(0, 2**32))
def test_failing_and_dying_anywhere_changes_no_byte(journey: Journey, seed: int) -> None:
    lived(journey, seed, trouble=0.05)
