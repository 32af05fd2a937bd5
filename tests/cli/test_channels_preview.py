"""`cryptowatcher channels preview`: what would be sent, before it is."""

from __future__ import annotations

import msgspec

from tests.cli.terminal import Terminal, alert, candle, something

CONFIG = """
[owner]
time_zone = "Europe/Berlin"
link = "https://watch.example.org"
[[channels]]
kind = "console"
name = "screen"
title = "{coin} is at {price:4}"
"""


def test_a_sample_needs_no_store_and_makes_none(terminal: Terminal) -> None:
    terminal.write("cryptowatcher.toml", CONFIG)
    shown = terminal.run("channels", "preview", "screen")
    assert shown.exit_code == 0
    assert shown.stdout.startswith("bitcoin is at 50,123\n\nchange(5m) <= -5%: now -5.23%")
    assert "https://watch.example.org/alerts/" in shown.stdout
    assert "UTC" not in shown.stdout
    assert [path.name for path in terminal.folder.iterdir()] == ["cryptowatcher.toml"]


def test_a_stored_alert_is_told_as_it_would_be_sent(terminal: Terminal) -> None:
    terminal.write("cryptowatcher.toml", CONFIG)
    terminal.store(something())
    shown = terminal.run("channels", "preview", "screen", "--alert", alert(0).id, "--json")
    answer = msgspec.json.decode(shown.stdout)
    assert answer["title"] == "bitcoin is at 49,000"
    assert "Observed 2024-08-05 08:15:00 CEST" in answer["body"]
    assert answer["link"] == f"https://watch.example.org/alerts/{alert(0).id}"


def test_its_picture_is_written_where_it_is_wanted(terminal: Terminal) -> None:
    step = msgspec.structs.replace(
        something(), candles=[candle(number, 50_000, 49_500) for number in range(-30, 0)]
    )
    terminal.store(step)
    for number, which in enumerate(([], ["--alert", alert(0).id])):
        shown = terminal.run("channels", "preview", "console", *which, "--picture", f"{number}.png")
        assert (shown.exit_code, shown.stderr) == (0, "")
        assert (terminal.folder / f"{number}.png").read_bytes().startswith(b"\x89PNG")
    nowhere = terminal.run("channels", "preview", "console", "--picture", "no/such/folder.png")
    assert nowhere.exit_code == 2
    assert "--picture" in nowhere.stderr


def test_without_candles_there_is_no_picture_and_it_says_so(terminal: Terminal) -> None:
    terminal.store(msgspec.structs.replace(something(), candles=[]))
    shown = terminal.run("channels", "preview", "console", "--alert", alert(0).id, "--picture", "none.png")
    assert shown.exit_code == 0
    assert "not enough candles" in shown.stderr
    assert not (terminal.folder / "none.png").exists()


def test_other_words_can_be_tried(terminal: Terminal) -> None:
    shown = terminal.run("channels", "preview", "console", "--title", "{rule}", "--body", "{{7*7}} {change}")
    assert shown.stdout == "btc drops\n\n{7*7} -5.23%\n"
    wrong = terminal.run("channels", "preview", "console", "--body", "{prise}")
    assert wrong.exit_code == 2
    assert "did you mean {price}?" in wrong.stderr


def test_what_is_not_there_is_named(terminal: Terminal) -> None:
    terminal.store(something())
    missing = terminal.run("channels", "preview", "console", "--alert", "0")
    assert missing.exit_code == 1
    assert "no alert '0'" in missing.stderr
    unknown = terminal.run("channels", "preview", "consle")
    assert unknown.exit_code == 2
    assert "console" in unknown.stderr
