"""Rules as text: whatever a rule says comes back as it was, and what cannot be taken says where it stands."""

from __future__ import annotations

import tomllib
import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.rules.exchange import Judged, as_given, judge, read, written
from cryptowatcher.domain.rules.model import Rule, RuleSpec, rule_id
from cryptowatcher.domain.rules.toml_lines import blocks_of
from cryptowatcher.errors import ConfigError

SPEC = RuleSpec(name="a", pairs=("bitcoin/usd",), when="price > 1")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
specs = st.builds(
    RuleSpec,
    name=texts,
    pairs=st.lists(texts, min_size=1, max_size=9).map(tuple),
    when=texts,
    for_=texts,
    rearm=texts,
    cooldown=texts,
    repeat=st.sampled_from(["every", "once"]),
    fire_if_already_true=st.booleans(),
    advice=st.sampled_from(["info", "buy", "sell"]),
    channels=st.lists(texts, max_size=3).map(tuple),
    paused=st.booleans(),
    expires=texts,
    active=texts,
    urgent=st.booleans(),
    remind=texts,
    escalate=st.lists(texts, max_size=3).map(tuple),
    resolved=st.booleans(),
)


@given(st.lists(specs, max_size=5))
def test_what_is_written_is_read_as_it_was(wanted: list[RuleSpec]) -> None:
    found = tomllib.loads(written(wanted, {})).get("rules", [])
    assert msgspec.convert(found, list[RuleSpec]) == wanted


@given(st.lists(specs, min_size=1, max_size=5), texts)
def test_each_rule_is_found_on_the_line_of_its_head(wanted: list[RuleSpec], comment: str) -> None:
    lines = ["# " + "".join(char for char in comment if char.isprintable()), *written(wanted, {}).split("\n")]
    assert [block.line for block in blocks_of("\n".join(lines), "rules")] == [
        number for number, line in enumerate(lines, 1) if line == "[[rules]]"
    ]


def test_heads_inside_of_text_are_no_heads_and_other_tables_end_a_rule() -> None:
    text = '''
[[ "rules" ]]  # the first
name = """
[[rules]]
name = \\"""
"""
when = 'a"""'
[web]
name = "x"
[[rules]]
name = \'\'\'
[[rules]]\'\'\'
'''
    first, second = blocks_of(text, "rules")
    assert (first.line, first.fields) == (2, {"name": 3, "when": 7})
    assert (second.line, second.fields) == (10, {"name": 11})


def judged(text: str, *there: Rule, channels: tuple[str, ...] = ("ops",)) -> list[Judged]:
    return judge(read(text), there, channels=channels, lists={})


def kept(spec: RuleSpec, **more: str) -> Rule:
    return msgspec.convert(
        {"id": rule_id("local", spec.name), "owner": "local", "version": 1, "spec": spec, **more}, Rule
    )


def test_a_rule_is_new_changed_or_the_same_and_the_change_is_told() -> None:
    other = msgspec.structs.replace(SPEC, name="b")
    text = written(
        [SPEC, msgspec.structs.replace(other, cooldown="1h"), msgspec.structs.replace(SPEC, name="c")], {}
    )
    found = judged(text, kept(SPEC), kept(other))
    assert [rule.verdict for rule in found] == ["same", "changed", "added"]
    assert found[1].changes == ("cooldown: 0s → 1h",)


@pytest.mark.parametrize(
    ("wrong", "line", "where", "said"),
    [
        ('when = "price >> 1"', 4, "when", "column 8"),
        ('when = "price > 1"\nwhenn = 1', 5, "whenn", "no such setting"),
        ("when = 5", 4, "when", "should be text in quotes, not a number"),
        ('when = "price > 1"\nchannels = ["gone"]', 5, "channels[0]", "no channel 'gone'"),
        ('when = "price > 1"\ncooldown = "soon"', 5, "cooldown", "not a duration"),
        ('when = "price > 1"\nexpires = 2027-01-01', 5, "expires", "should be text in quotes, not a date"),
        ("", 1, "", "missing"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_the_rest_is_taken(
    wrong: str, line: int, where: str, said: str
) -> None:
    text = f'[[rules]]\nname = "bad"\npairs = ["bitcoin/usd"]\n{wrong}\n\n{written([SPEC], {})}'
    bad, good = judged(text)
    assert (bad.verdict, bad.name, bad.line, bad.where) == ("refused", "bad", line, where)
    assert said in bad.problem
    assert good.verdict == "added"


def test_the_second_of_a_name_and_a_rule_of_the_file_are_refused() -> None:
    changed = msgspec.structs.replace(SPEC, when="price > 2")
    first, second = judged(written([SPEC, changed], {}))
    assert (first.verdict, second.verdict, second.line) == ("added", "refused", 7)
    (of_the_file,) = judged(written([changed], {}), kept(SPEC, origin="config"))
    assert "configuration file" in of_the_file.problem
    assert judged(written([SPEC], {}), kept(SPEC, origin="config"))[0].verdict == "same"


def test_lists_that_rules_are_on_come_along() -> None:
    on_list = msgspec.structs.replace(SPEC, pairs=("list(mine)",))
    document = read(written([on_list], {"mine": ["bitcoin/usd"], "other": ["a/usd"]}))
    assert document.lists == {"mine": ("bitcoin/usd",)}
    assert judge(document, [], channels=(), lists={})[0].verdict == "added"
    (missing,) = judge(as_given([on_list]), [], channels=(), lists={})
    assert (missing.verdict, missing.line) == ("refused", 0)


@pytest.mark.parametrize("text", ["", "name = 'x'", "[[rules]\n", "rules = 5", "rules = []", "a = " + "[" * 5000])
def test_what_holds_no_rules_is_a_mistake_of_the_whole(text: str) -> None:
    with pytest.raises(ConfigError):
        read(text)


def test_a_whole_configuration_gives_its_rules_and_says_what_was_passed_over() -> None:
    document = read(f"data_dir = 'x'\n[web]\nport = 1\n{written([SPEC], {})}")
    assert document.besides == ("data_dir", "web")
    assert [entry.spec for entry in document.entries] == [SPEC]


def test_rules_written_as_one_list_are_read_too() -> None:
    (found,) = judged('rules = [{name = "a", pairs = ["bitcoin/usd"], when = "price >> 1"}]')
    assert (found.verdict, found.line) == ("refused", 1)


@pytest.mark.parametrize("text", ['"{}"'.format("a" * 100_000), '"""{}\n"""'.format('a"' * 50_000)])
def test_to_find_the_lines_of_a_long_text_takes_no_more_memory_than_a_few_times_its_length(text: str) -> None:
    whole = f"[[rules]]\nname = {text}\nwhen = 'price > 1'\n"
    tracemalloc.start()
    try:
        (block,) = blocks_of(whole, "rules")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (block.fields["name"], block.fields["when"]) == (2, 3 + text.count("\n"))
    assert most < 20 * len(whole)
