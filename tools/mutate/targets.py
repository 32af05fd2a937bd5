"""Which files are mutated, and the tests that should notice: those of the file first, then those that use it."""

_RULES = "src/cryptowatcher/domain/rules"
_DOMAIN = "tests/domain"
_READING = ("mistakes_exact", "language", "mistakes", "words", "check", "compiled")
_LANGUAGE = tuple(f"{_DOMAIN}/test_{name}.py" for name in _READING)
_ENGINE = tuple(
    f"{_DOMAIN}/test_{name}.py" for name in ("truth_edges", "lifecycle", "conditions", "watchlists", "engine")
)

TARGETS: dict[str, tuple[str, ...]] = {
    f"{_RULES}/language.py": _LANGUAGE,
    f"{_RULES}/tree.py": _LANGUAGE,
    f"{_RULES}/arguments.py": _LANGUAGE,
    f"{_RULES}/mistakes.py": _LANGUAGE,
    f"{_RULES}/units.py": _LANGUAGE,
    f"{_RULES}/check.py": _LANGUAGE,
    f"{_RULES}/words.py": _LANGUAGE,
    f"{_RULES}/numbers.py": (*_LANGUAGE, *_ENGINE),
    f"{_RULES}/lifecycle.py": _ENGINE,
    f"{_RULES}/truth.py": _ENGINE,
    f"{_RULES}/tops.py": _ENGINE,
    "src/cryptowatcher/domain/hours.py": tuple(f"{_DOMAIN}/test_{name}.py" for name in ("hours_edges", "hours")),
}
"""File → its tests, relative to the root."""
