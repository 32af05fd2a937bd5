"""Rules, their unit tests, runbooks and Alertmanager's routes: each alert is whole, none asks for what is not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.watching import (
    PROMETHEUS,
    RULES,
    RUNBOOKS,
    UNIT_TESTS,
    alerts,
    groups,
    passes,
    recorded,
    rules,
    tool,
    unknown_in,
)
from tests.house.source import ROOT

ALERTMANAGER = ROOT / "deploy/alertmanager/alertmanager.yml"
DASHBOARDS = ROOT / "deploy/grafana/dashboards"
MONITORING = ROOT / "docs/monitoring.md"
RUNBOOK_URL = "https://github.com/cryptowatcher/cryptowatcher/blob/main/docs/runbooks"
WATCHDOG = "CryptowatcherWatchdog"
PARTS = ("What it means", "What people notice", "Look here", "What to do", "What not to do")


def unit_tests() -> list[dict[str, Any]]:
    """Each `alert_rule_test` of every file."""
    return [
        test
        for file in UNIT_TESTS
        for case in yaml.safe_load(file.read_text())["tests"]
        for test in case["alert_rule_test"]
    ]


def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    promtool = tool("promtool", "prometheus")
    passes(promtool, "check", "config", "--syntax-only", PROMETHEUS / "prometheus.yml")
    passes(promtool, "check", "rules", "--lint=all", "--lint-fatal", *RULES)


@pytest.mark.parametrize("file", UNIT_TESTS, ids=lambda file: file.stem)
def test_alerts_fire_when_they_should_and_not_just_below(file: Path) -> None:
    passes(tool("promtool", "prometheus"), "test", "rules", file)


def test_every_alert_is_tested_to_fire_and_to_stay_quiet() -> None:
    fires = {test["alertname"] for test in unit_tests() if test["exp_alerts"]}
    quiet = {test["alertname"] for test in unit_tests() if not test["exp_alerts"]}
    assert fires == set(alerts())
    assert quiet == set(alerts()) - {WATCHDOG}


def test_every_expected_alert_is_expected_with_its_words() -> None:
    expected = [alert for test in unit_tests() for alert in test["exp_alerts"]]
    assert [
        alert for alert in expected if set(alert["exp_annotations"]) != {"summary", "description", "runbook_url"}
    ] == []


def test_every_alert_says_how_urgent_it_is_and_what_to_do() -> None:
    for name, alert in alerts().items():
        assert name.startswith("Cryptowatcher")
        assert alert["labels"] == {"severity": "none" if name == WATCHDOG else alert["labels"]["severity"]}
        assert alert["labels"]["severity"] in ("page", "ticket") or name == WATCHDOG
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
        assert alert["annotations"]["runbook_url"] == f"{RUNBOOK_URL}/{name}.md"


def test_alerts_and_groups_have_names_of_their_own() -> None:
    names = [rule["alert"] for rule in rules() if "alert" in rule]
    assert len(names) == len(set(names))
    assert len({group["name"] for group in groups()}) == len(groups())


def test_rules_ask_only_for_what_is_told_or_recorded() -> None:
    assert {
        rule.get("alert") or rule["record"]: wrong for rule in rules() if (wrong := unknown_in(rule["expr"]))
    } == {}


def test_what_is_recorded_is_used() -> None:
    asked = "\n".join(
        [rule["expr"] for rule in rules()] + [file.read_text() for file in DASHBOARDS.glob("*.json")]
    )
    assert {name for name in recorded() if not re.search(rf"{re.escape(name)}(?![\w:])", asked)} == set()


def test_every_alert_has_a_runbook_with_all_parts_and_there_is_no_other() -> None:
    pages = {page.stem: page.read_text() for page in RUNBOOKS.glob("*.md") if page.name != "README.md"}
    assert set(pages) == set(alerts())
    for name, text in pages.items():
        assert text.startswith(f"# {name}\n")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == list(PARTS), name


def test_the_index_of_runbooks_has_each_page() -> None:
    listed = re.findall(r"\[(\w+)\]\((\w+)\.md\)", (RUNBOOKS / "README.md").read_text())
    assert sorted(listed) == sorted((name, name) for name in alerts())


def test_the_monitoring_page_lists_every_alert_with_its_severity_and_wait() -> None:
    table = re.findall(
        r"^\| \[(\w+)\]\(runbooks/\w+\.md\) \| (\w+) \| (\w+) \|", MONITORING.read_text(), re.MULTILINE
    )
    wanted = [(name, rule["labels"]["severity"], rule.get("for", "0s")) for name, rule in alerts().items()]
    assert sorted(table) == sorted(wanted)


# --- Alertmanager --------------------------------------------------------------------------------------


def for_old_amtool(folder: Path) -> Path:
    """Debian's amtool is older than `url_file`: the same configuration with addresses in it."""
    text, count = re.subn(r"url_file: (\S+)", r"url: http://127.0.0.1\1", ALERTMANAGER.read_text())
    assert count == 3
    file = folder / "alertmanager.yml"
    file.write_text(text)
    return file


def test_alertmanager_takes_its_configuration(tmp_path: Path) -> None:
    passes(tool("amtool", "prometheus-alertmanager"), "check-config", for_old_amtool(tmp_path))


@pytest.mark.parametrize(
    ("name", "severity", "receiver"),
    [
        ("CryptowatcherDown", "page", "pages"),
        ("CryptowatcherMemoryHigh", "ticket", "tickets"),
        (WATCHDOG, "none", "dead-mans-switch"),
        ("SomethingElse", "", "tickets"),
    ],
)
def test_alerts_go_where_their_severity_says(name: str, severity: str, receiver: str, tmp_path: Path) -> None:
    amtool = tool("amtool", "prometheus-alertmanager")
    config = f"--config.file={for_old_amtool(tmp_path)}"
    labels = (f"alertname={name}", f"severity={severity}", "job=cryptowatcher")
    assert passes(amtool, "config", "routes", "test", config, *labels).split() == [receiver]


def test_addresses_stand_in_files_and_nowhere_else() -> None:
    receivers = yaml.safe_load(ALERTMANAGER.read_text())["receivers"]
    hooks = [hook for receiver in receivers for hook in receiver["webhook_configs"]]
    assert [hook["url_file"].rpartition("/")[0] for hook in hooks] == ["/etc/alertmanager/secrets"] * 3
    assert not [hook for hook in hooks if "url" in hook]


def test_what_is_inhibited_exists_and_nothing_silences_the_watchdog() -> None:
    for rule in yaml.safe_load(ALERTMANAGER.read_text())["inhibit_rules"]:
        for side in ("source_matchers", "target_matchers"):
            assert any(all(_matches(name, text) for text in rule[side]) for name in alerts()), rule
        assert {"job", "instance"} <= set(rule["equal"])  # which the watchdog has not, so it is never a target


def _matches(name: str, matcher: str) -> bool:
    label, sign, text = matcher.split(" ", 2)
    assert label == "alertname"
    value = json.loads(text)
    if sign == "=~":
        return re.fullmatch(value, name) is not None
    return (name == value) is (sign == "=")


def test_an_inhibition_names_only_alerts_that_exist() -> None:
    """A regular expression that lists names must list real ones."""
    for words in re.findall(r'"Cryptowatcher\(([\w|()]+)\)"', ALERTMANAGER.read_text()):
        for word in _words(words):
            assert f"Cryptowatcher{word}" in alerts()


def _words(pattern: str) -> list[str]:
    """`A|(B|C)(D|E)` → A, BD, BE, CD, CE."""
    if found := re.search(r"\((\w+(?:\|\w+)*)\)\((\w+(?:\|\w+)*)\)", pattern):
        rest = pattern.replace(found[0], "").strip("|")
        both = [first + last for first in found[1].split("|") for last in found[2].split("|")]
        return [*filter(None, rest.split("|")), *both]
    return pattern.split("|")
