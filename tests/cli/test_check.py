"""`check` says what is set, from where, and what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.terminal import Terminal, json_of

FILE = """
data_dir = "watched"
[[channels]]
name = "ops"
kind = "webhook"
url = "https://someone:hunter2@example.org/hook/T0K3N?key=K3Y"
secret_file = "hook.key"
[store]
kind = "postgres"
url_variable = "DATABASE"
"""


def settings(terminal: Terminal, **environ: str) -> dict[str, tuple[Any, str]]:
    found = json_of(terminal.run("check", "--json", **environ), list[dict[str, Any]])
    assert isinstance(found, list)
    return {each["path"]: (each["value"], each["origin"]) for each in found}


def test_the_defaults_are_a_good_configuration(terminal: Terminal) -> None:
    result = terminal.run("check")
    assert result.exit_code == 0
    lines = {tuple(line.split()) for line in result.stdout.splitlines()}
    assert ("web.port", "8000", "default") in lines
    assert ("sources[0].top", "250", "default") in lines
    assert ("channels[0].kind", "console", "default") in lines


def test_each_setting_is_shown_with_its_origin_and_no_secret(terminal: Terminal) -> None:
    terminal.write("cryptowatcher.toml", FILE)
    terminal.write("hook.key", "s3cret").chmod(0o600)
    environ = {"DATABASE": "postgresql://a:pa55@db/x", "CRYPTOWATCHER_WEB__PORT": "9000"}
    found = settings(terminal, **environ)
    assert found["web.port"] == (9000, "CRYPTOWATCHER_WEB__PORT")
    assert found["web.host"] == ("127.0.0.1", "default")
    assert found["data_dir"] == (str(terminal.folder / "watched"), "file")
    assert found["channels[0].secret_file"] == (f"set (from file {terminal.folder / 'hook.key'})", "file")
    assert found["store.url_variable"] == ("set (from variable DATABASE)", "file")
    shown = terminal.run("check", **environ).output
    assert not [secret for secret in ("s3cret", "pa55", "hunter2", "T0K3N", "K3Y") if secret in shown]
    assert "https://someone:***@example.org/…" in shown


def test_the_command_line_goes_before_all_others(terminal: Terminal) -> None:
    terminal.write("other.toml", 'data_dir = "a"')
    shown = terminal.run("check", "-c", "other.toml", "--data-dir", "b", CRYPTOWATCHER_DATA_DIR="c").stdout
    line = next(line.split() for line in shown.splitlines() if line.startswith("data_dir"))
    assert line == ["data_dir", str(terminal.folder / "b"), "--data-dir"]


def test_a_rule_that_is_hardly_meant_is_a_warning(terminal: Terminal) -> None:
    terminal.write("cryptowatcher.toml", '[[rules]]\nname = "a"\npairs = ["all"]\nwhen = "price > 100 + 5%"')
    result = terminal.run("check")
    assert result.exit_code == 0
    assert "warning: rules[0].when: a percentage cannot be added to a number; write 105" in result.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[sources]]\nkind = "coingecko"\nevrey = "1s"', ["cryptowatcher.toml: sources[0].evrey", "`every`"]),
        ("[web\n", ["cryptowatcher.toml", "line 1"]),
        (FILE, ["hook.key", "channels[0].secret_file"]),
        ('[[rules]]\nname = "a"\npairs = ["all"]\nwhen = "prize > 1"', ["rules[0].when", "`price`", "column 1"]),
    ],
)
def test_what_is_wrong_stands_on_standard_error_without_a_traceback(
    terminal: Terminal, text: str, words: list[str]
) -> None:
    terminal.write("cryptowatcher.toml", text)
    result = terminal.run("check", DATABASE="x")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert [word for word in words if word not in result.stderr] == []
    assert "Traceback" not in result.stderr


def test_a_named_file_must_be_there(terminal: Terminal) -> None:
    result = terminal.run("check", "--config", "nowhere.toml")
    assert result.exit_code == 2
    assert "nowhere.toml" in result.stderr


def test_nothing_is_written_by_checking(terminal: Terminal) -> None:
    terminal.run("check")
    assert list(terminal.folder.iterdir()) == []


def test_a_rule_in_a_currency_that_no_source_asks_for_is_named(terminal: Terminal) -> None:
    rule = '[[rules]]\nname = "a"\npairs = ["bitcoin/eur", "bitcoin/usd"]\nwhen = "price > 1"\n'
    terminal.write("cryptowatcher.toml", rule)
    result = terminal.run("check")
    assert result.exit_code == 0
    assert "rules[0].pairs: no source asks for prices in eur" in result.stderr
    assert "for bitcoin/usd" not in result.stderr
    terminal.write("cryptowatcher.toml", rule + '[[sources]]\nkind = "coingecko"\ncurrency = "eur"\n')
    assert "in usd" in terminal.run("check").stderr
    assert "in eur" not in terminal.run("check").stderr


def test_a_channel_with_a_private_address_is_told_how_to_allow_it(terminal: Terminal) -> None:
    channel = '[[channels]]\nkind = "webhook"\nname = "{}"\nurl = "http://{}:8080/T0K3N"\n'
    text = (
        channel.format("ops", "192.168.1.7")
        + channel.format("here", "localhost")
        + channel.format("far", "8.8.8.8")
    )
    terminal.write("cryptowatcher.toml", text)
    told = terminal.run("check").stderr
    assert "ops: 192.168.1.7 is a private address" in told
    assert '[outbound] allow = ["192.168.1.7"]' in told
    assert "here: localhost is a private address" in told
    assert "far:" not in told
    assert "T0K3N" not in told
    terminal.write("cryptowatcher.toml", f'{text}[outbound]\nallow = ["192.168.1.0/24", "127.0.0.1"]\n')
    assert "private address" not in terminal.run("check").stderr
