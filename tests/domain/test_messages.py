"""A message in its owner's words, at the times of their clocks, with a way to the page."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from cryptowatcher.config import Config, load
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import ChannelPolicy
from cryptowatcher.domain.expiry import expiry_notice
from cryptowatcher.domain.hours import parse_moment
from cryptowatcher.domain.messages import Message, Wording, wording_of, write
from cryptowatcher.domain.quiet import Kindness
from cryptowatcher.domain.rules.model import Rule, RuleSpec
from cryptowatcher.domain.texts import show_time
from cryptowatcher.errors import ConfigError
from cryptowatcher.testing.contracts.channel import sample_alert, sample_delivery

LINK = "https://watch.example.org"
BERLIN = Kindness(time_zone="Europe/Berlin", link=LINK)


def message(*alerts: Alert, wording: Wording | None = None) -> Message:
    rows = [(sample_delivery(alert), alert) for alert in alerts]
    return write(rows, now=alerts[0].at + 1_000, wording=wording)


def words(title: str = "", body: str = "", kindness: Kindness | None = None) -> Wording:
    return wording_of(ChannelPolicy(title=title, body=body), kindness or Kindness())


def notice() -> Alert:
    spec = RuleSpec(name="a", pairs=("all",), when="price > 1", expires="2027-01-31T12:00Z")
    rule = Rule(id="r0123456789ab", owner="local", version=1, spec=spec)
    return expiry_notice(rule, now=parse_moment("2027-01-31T12:00Z"))


def config(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "cryptowatcher.toml"
    file.write_text(text)
    return load(file, {})


def test_the_owners_words_are_used_where_there_are_some() -> None:
    usual = message(sample_alert())
    both = message(sample_alert(), wording=words("{coin} {price}", "{change}\n{rule}"))
    assert (both.text.title, both.text.body) == ("bitcoin 50,123.5", "-5.23%\nbtc drops")
    one = message(sample_alert(), wording=words(title="{coin}"))
    assert (one.text.title, one.text.body) == ("bitcoin", usual.text.body)
    other = message(sample_alert(), wording=words(body="{coin}"))
    assert (other.text.title, other.text.body) == (usual.text.title, "bitcoin")


def test_a_template_that_leaves_nothing_to_read_gives_the_usual_words() -> None:
    nothing = message(sample_alert(), wording=words("{late}", " {link}\n"))
    assert nothing.text == message(sample_alert()).text
    assert nothing.text.title == "Buy: bitcoin/usd -5.23% (btc drops)"
    assert nothing.text.body.startswith("change(5m) <= -5%: now")


def test_what_comes_late_says_so_once_whatever_the_template_leaves_out() -> None:
    alert = msgspec.structs.replace(sample_alert(), late=True)
    rows = [(sample_delivery(alert), alert)]
    sentences = "Late: found while history was filled in. Late: sent 2 hours after it was observed."
    for body in ("{coin}", "{coin}\n{late}", "{text}"):
        said = write(rows, now=alert.at + 2 * 3_600_000, wording=words(body=body)).text.body
        assert said.count("Late: ") == 2
        assert all(f"{sentence.strip('.')}." in said for sentence in sentences.split(". "))


def test_notices_and_bundles_have_the_usual_words() -> None:
    wording = words("mine", "mine")
    assert message(notice(), wording=wording).text == message(notice()).text
    two = (sample_alert(0), sample_alert(1))
    assert message(*two, wording=wording).text == message(*two).text


def test_every_time_in_a_message_is_of_the_owners_clocks() -> None:
    late = msgspec.structs.replace(sample_alert(), kind="gap", gap_ms=40 * 60_000)
    apart = msgspec.structs.replace(sample_alert(1), event_time=sample_alert().event_time + 3 * 3_600_000)
    for alerts in ((sample_alert(),), (late,), (notice(),), (sample_alert(0), sample_alert(1)), (late, apart)):
        there = message(*alerts, wording=words(kindness=BERLIN))
        shown = f"{there.text.title}\n{there.text.body}"
        assert "UTC" not in shown
        assert "CEST" in shown or "CET" in shown
        assert there.zone == ZoneInfo("Europe/Berlin")
        assert "UTC" in f"{message(*alerts).text.title}\n{message(*alerts).text.body}"


@pytest.mark.parametrize(
    ("at", "zone", "shown"),
    [
        ("2024-08-05T06:15:00Z", "Europe/Berlin", "2024-08-05 08:15:00 CEST"),
        (
            "2024-10-27T00:30:00Z",
            "Europe/Berlin",
            "2024-10-27 02:30:00 CEST",
        ),  # and an hour later:
        ("2024-10-27T01:30:00Z", "Europe/Berlin", "2024-10-27 02:30:00 CET"),
        ("2024-08-05T06:15:00Z", "America/Sao_Paulo", "2024-08-05 03:15:00 UTC-03"),
        ("2024-08-05T06:15:00Z", "Asia/Kathmandu", "2024-08-05 12:00:00 UTC+0545"),
        ("2024-08-05T06:15:00Z", "UTC", "2024-08-05 06:15:00 UTC"),
    ],
)
def test_a_time_says_whose_it_is(at: str, zone: str, shown: str) -> None:
    assert show_time(parse_moment(at), ZoneInfo(zone)) == shown


def test_an_alert_links_to_itself_and_others_to_the_page() -> None:
    wording = words(kindness=BERLIN)
    alert = message(sample_alert(), wording=wording)
    assert alert.link == f"{LINK}/alerts/{sample_alert().id}"
    assert alert.text.body.splitlines()[-1] == alert.link
    bundle = message(sample_alert(0), sample_alert(1), wording=wording)
    assert (bundle.link, bundle.text.body.splitlines()[-1]) == (LINK, LINK)
    assert message(notice(), wording=wording).link == LINK
    assert message(sample_alert()).link == ""
    assert "http" not in message(sample_alert()).text.body


def test_the_configuration_carries_words_zone_and_link(tmp_path: Path) -> None:
    text = f"""
        [owner]
        time_zone = "Europe/Berlin"
        link = "{LINK}/"
        [[channels]]
        kind = "console"
        title = "{{coin}} at {{price:3}}"
        body = "{{time}} {{link}}"
    """
    found = config(tmp_path, text)
    wording = wording_of(found.channels[0].policy(), found.owner.wishes().kindness)
    shown = message(sample_alert(), wording=wording)
    assert shown.text.title == "bitcoin at 50,123"
    assert shown.text.body == f"2024-08-05 08:15:00 CEST {LINK}/alerts/{sample_alert().id}"


@pytest.mark.parametrize(
    ("text", "where", "hint"),
    [
        ('[owner]\ntime_zone = "Europe/Berln"', "owner.time_zone", "did you mean Europe/Berlin?"),
        ('[owner]\ntime_zone = "../etc/hosts"', "owner.time_zone", "Europe/Berlin"),
        ('[owner]\nlink = "javascript:alert(1)"', "owner.link", "https://"),
        ('[owner]\nlink = "https://me:pass@example.org"', "owner.link", "https://"),
        ('[owner]\nlink = "https://example.org/?a=1"', "owner.link", "https://"),
        ('[owner]\nlink = "https://example.org/|x>"', "owner.link", "https://"),
        ('[[channels]]\nkind = "console"\ntitle = "{prise}"', "title", "did you mean {price}?"),
        ('[[channels]]\nkind = "console"\nbody = "{0.__class__}"', "body", "there are"),
    ],
)
def test_a_setting_that_cannot_be_says_what_to_write(tmp_path: Path, text: str, where: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, text)
    assert where in caught.value.where
    assert hint in caught.value.hint
    assert "pass" not in caught.value.message
