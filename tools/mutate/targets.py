"""Which files are mutated, and the tests that should notice: those of the file first, then those that use it."""

_RULES = "src/cryptowatcher/domain/rules"
_DOMAIN = "tests/domain"
_READING = ("mistakes_exact", "language", "tree", "mistakes", "words", "check", "compiled", "idle")
_LANGUAGE = tuple(f"{_DOMAIN}/test_{name}.py" for name in _READING)


def _of(*names: str) -> tuple[str, ...]:
    return tuple(f"{_DOMAIN}/test_{name}.py" for name in names)


_BOUNDED = f"{_DOMAIN}/test_engine.py::test_few_rules_over_a_longer_time_agree_too"
_ENGINE = (*_of("lifecycle", "tops", "watchlists", "conditions", "flapping"), _BOUNDED)
"""Stories first; then random rules beside the plain evaluator, so few that one mutant does not take minutes."""

TARGETS: dict[str, tuple[str, ...]] = {
    f"{_RULES}/language.py": _LANGUAGE,
    f"{_RULES}/tree.py": _LANGUAGE,
    f"{_RULES}/arguments.py": _LANGUAGE,
    f"{_RULES}/mistakes.py": _LANGUAGE,
    f"{_RULES}/units.py": (*_LANGUAGE, *_of("slips")),
    f"{_RULES}/slips.py": (*_of("slips"), *_LANGUAGE),
    f"{_RULES}/check.py": _LANGUAGE,
    f"{_RULES}/words.py": _LANGUAGE,
    f"{_RULES}/numbers.py": (f"{_DOMAIN}/test_numbers.py", *_LANGUAGE, *_ENGINE),
    f"{_RULES}/lifecycle.py": (*_ENGINE, *_of("since_alert")),
    f"{_RULES}/truth.py": (*_of("truth_edges"), *_ENGINE),
    f"{_RULES}/tops.py": (*_of("tops"), _BOUNDED),
    f"{_RULES}/late.py": _of("late"),
    f"{_RULES}/since.py": _of("since_alert"),
    f"{_RULES}/anchors.py": _of("since_alert"),
    f"{_RULES}/watchlists.py": _of("watchlists"),
    f"{_RULES}/why.py": _of("why", "flapping", "since_alert"),
    f"{_RULES}/now.py": _of("now"),
    f"{_RULES}/firing.py": (*_ENGINE, *_of("late", "since_alert")),
    f"{_RULES}/engine.py": (*_ENGINE, *_of("why", "late", "kinds", "watcher")),
    f"{_RULES}/judging.py": (*_ENGINE, *_of("judged", "resolved", "since_alert")),
    f"{_RULES}/judged.py": (*_of("judged"), *_ENGINE, *_of("kinds")),
    f"{_RULES}/enrolment.py": (*_ENGINE, *_of("judged", "kinds", "since_alert")),
    f"{_RULES}/sides.py": _of("why"),
    f"{_RULES}/over.py": _of("resolved"),
    f"{_RULES}/together.py": _of("together", "kinds"),
    f"{_RULES}/roll.py": _of("rule_columns", "kinds", "judged"),
    f"{_RULES}/constants.py": (*_of("constants"), *_ENGINE),
    f"{_RULES}/runs.py": _of("runs", "constants"),
    f"{_RULES}/standings.py": _of("standings", "lifecycle"),
    "src/cryptowatcher/domain/hours.py": tuple(f"{_DOMAIN}/test_{name}.py" for name in ("hours_edges", "hours")),
}
"""File → its tests, relative to the root."""
