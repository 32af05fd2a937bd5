"""What is known of mutants: from runs before, and from a person who looked."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tools.mutate.child import CRASHED, SURVIVED
from tools.mutate.mutants import Mutant

KNOWN = Path(__file__).parent / "known.txt"


def digest(*texts: str) -> str:
    """Says whether these texts are the same as before."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def known() -> set[tuple[str, str]]:
    """(file, mutant) of those that survive because they make no difference."""
    found = set()
    file = ""
    for line in KNOWN.read_text().splitlines():
        if line.startswith("src/"):
            file = line.strip()
        elif line.startswith("    ") and not line.startswith("     "):
            found.add((file, line.strip()))
    return found


class Stamp(NamedTuple):
    """Digests of what an outcome is about."""

    source: str
    tests: str


class Results:
    """A folder with a file for each file with mutants: one JSON object a line, the later counts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[Path, dict[str, tuple[str, str, str]]] = {}
        self._asked: dict[Path, Counter[str]] = {}

    def get(self, file: Path, mutant: Mutant, now: Stamp) -> str | None:
        """What became of it, if that still counts."""
        source, tests, outcome = self._of(file).get(mutant.name, ("", "", ""))
        if source != now.source or outcome == CRASHED or (outcome == SURVIVED and tests != now.tests):
            return None
        self._count(file, outcome)
        return outcome

    def put(self, file: Path, mutant: Mutant, now: Stamp, outcome: str) -> None:
        """Keep what became of it."""
        self._of(file)[mutant.name] = *now, outcome
        self._count(file, outcome)
        self._folder.mkdir(exist_ok=True)
        with self._path(file).open("a") as lines:
            lines.write(json.dumps([mutant.name, *now, outcome]) + "\n")

    def counts(self, file: Path) -> Counter[str]:
        """How many of those that were asked for had which outcome."""
        return self._asked.get(file, Counter())

    def _count(self, file: Path, outcome: str) -> None:
        self._asked.setdefault(file, Counter())[outcome] += 1

    def _of(self, file: Path) -> dict[str, tuple[str, str, str]]:
        if file not in self._found:
            path = self._path(file)
            lines = path.read_text().splitlines() if path.exists() else []
            rows = [json.loads(line) for line in lines]
            self._found[file] = {key: (source, tests, outcome) for key, source, tests, outcome in rows}
        return self._found[file]

    def _path(self, file: Path) -> Path:
        return self._folder / f"{'.'.join(file.with_suffix('').parts)}.jsonl"
