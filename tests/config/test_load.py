"""A configuration is loaded whole, or a ConfigError says where, what and what to do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cryptowatcher.config import Config, load, name_of, resolve
from cryptowatcher.domain.rules.check import check_spec
from cryptowatcher.errors import ConfigError

REMINDING = '[[rules]]\nname = "a"\npairs = ["all"]\nwhen = "price > 1"\nremind = "10m"'
EXAMPLE = """
data_dir = "data"
[web]
host = "127.0.0.1"
port = 8000
[[sources]]
kind = "coingecko"
base_url = "https://api.coingecko.com/api/v3"
top = 250
ids = ["bitcoin", "ethereum"]
every = "60s"
[[channels]]
name = "ops"
kind = "webhook"
url = "https://example.org/hook"
secret_file = "hook.key"
[[rules]]
name = "btc drops"
pairs = ["bitcoin/usd"]
when = "change(5m) <= -5%"
cooldown = "30m"
advice = "buy"
channels = ["ops"]
"""


def fields(settings: object) -> dict[str, Any]:
    assert isinstance(settings, msgspec.Struct)
    return msgspec.structs.asdict(settings)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cryptowatcher.toml"
    path.write_text(text)
    return path


def load_text(tmp_path: Path, text: str, **environ: str) -> Config:
    return load(write(tmp_path, text), environ)


def error_of(tmp_path: Path, text: str, **environ: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, text, **environ)
    return caught.value


def test_the_documented_example_loads(tmp_path: Path) -> None:
    config = load_text(tmp_path, EXAMPLE)
    assert config.data_dir == tmp_path / "data"
    assert (config.web.host, config.web.port) == ("127.0.0.1", 8000)
    assert [name_of(each) for each in config.sources] == ["coingecko"]
    assert fields(config.sources[0])["ids"] == ("bitcoin", "ethereum")
    assert [each.name for each in config.channels] == ["ops"]
    assert config.rules[0].cooldown == "30m"
    assert config.rules[0].channels == ("ops",)


def test_without_a_file_there_are_250_coins_and_a_console() -> None:
    config = load(None, {})
    (source,) = config.sources
    (channel,) = config.channels
    assert fields(source)["top"] == 250
    assert fields(source)["every"] == "60s"
    assert channel.name == "console"
    assert config.rules == ()
    assert config.data_dir == Path.cwd() / "data"


def test_an_empty_list_means_none(tmp_path: Path) -> None:
    config = load_text(tmp_path, "sources = []\nchannels = []")
    assert config.sources == ()
    assert config.channels == ()


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ('[[sources]]\nkind = "coingecko"\nevrey = "60s"', "sources[0].evrey", "did you mean `every`?"),
        ("[wed]\nport = 1", "wed", "did you mean `web`?"),
        ("[web]\nprot = 1", "web.prot", "did you mean `port`?"),
        (
            '[[rules]]\nname = "a"\npairs = ["all"]\nwhen = "price > 1"\ncoldown = "1m"',
            "rules[0].coldown",
            "`cooldown`",
        ),
        ('[[sources]]\nkind = "coingeko"', "sources[0].kind", "did you mean `coingecko`?"),
        ('[[sources]]\nevery = "1s"', "sources[0]", 'kind = "…"'),
        ('[store]\nkind = "sqlit"', "store.kind", "did you mean `sqlite`?"),
        ('[log]\nlevel = "inf"', "log.level", "did you mean `info`?"),
        ('[[channels]]\nkind = "console"\nurl = "x"', "channels[0].url", "name"),
    ],
)
def test_a_mistyped_word_is_named_with_its_path_and_the_word_that_was_meant(
    tmp_path: Path, text: str, place: str, hint: str
) -> None:
    error = error_of(tmp_path, text)
    assert error.where == f"{tmp_path / 'cryptowatcher.toml'}: {place}"
    assert hint in error.hint


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ('[web]\nport = "8000"', "web.port", "should be a whole number, not text in quotes"),
        ('[web]\nhost = "0.0.0.0"\nopen = true', "web.open", "must not be open"),
        ('[web]\nhost = "192.168.1.5"\nopen = true', "web.open", "must not be open"),
        ("[web]\nport = 70000", "web.port", "should be a whole number <= 65535"),
        ("web = 3", "web", "should be a table, not a whole number"),
        ('sources = "coingecko"', "sources", "should be a list, not text in quotes"),
        ("data_dir = 7", "data_dir", "should be text in quotes, not a whole number"),
        ('[[sources]]\nkind = "coingecko"\nids = [1]', "sources[0].ids[0]", "should be text in quotes"),
        ('[[rules]]\nname = "a"\npairs = ["all"]', "rules[0]", "`when` is missing"),
        ('[[channels]]\nkind = "webhook"\nname = "a"\nurl = "ftp://x"', "channels[0].url", "not an http"),
        (f'{REMINDING}\nescalate = ["console", "phone"]', "rules[0].escalate[1]", "there is no channel 'phone'"),
        (f'{REMINDING}\nchannels = ["phone"]', "rules[0].channels[0]", "there is no channel 'phone'"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(
    tmp_path: Path, text: str, place: str, message: str
) -> None:
    error = error_of(tmp_path, text)
    assert error.where == f"{tmp_path / 'cryptowatcher.toml'}: {place}"
    assert message in error.message


def test_broken_toml_is_named_with_line_and_column(tmp_path: Path) -> None:
    error = error_of(tmp_path, '[web]\nhost = "a"\nport = = 3\n')
    assert "line 3, column 8" in error.message
    assert error.where == str(tmp_path / "cryptowatcher.toml")


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "nowhere.toml", {})


@pytest.mark.parametrize(
    ("family", "item"),
    [
        ("sources", 'kind = "coingecko"'),
        ("channels", 'kind = "console"\nname = "a"'),
        ("rules", 'name = "a"\npairs = ["all"]\nwhen = "price > 1"'),
    ],
)
def test_a_name_is_given_once(tmp_path: Path, family: str, item: str) -> None:
    error = error_of(tmp_path, f"[[{family}]]\n{item}\n" * 2)
    assert error.where.endswith(f"{family}[1].name")
    assert f"{family}[0]" in error.message


def test_a_rule_names_channels_that_exist(tmp_path: Path) -> None:
    error = error_of(tmp_path, EXAMPLE.replace('channels = ["ops"]', 'channels = ["ops", "opps"]'))
    assert error.where.endswith("rules[0].channels[1]")
    assert "ops" in error.hint


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("change(5m) <= -5%", "chnage(5m) <= -5%", "rules[0].when"),
        ("bitcoin/usd", "bitcoin", "rules[0].pairs[0]"),
        ("30m", "half an hour", "rules[0].cooldown"),
    ],
)
def test_a_rule_is_checked_whole(tmp_path: Path, old: str, new: str, place: str) -> None:
    error = error_of(tmp_path, EXAMPLE.replace(old, new))
    assert error.where == f"{tmp_path / 'cryptowatcher.toml'}: {place}"


@pytest.mark.parametrize("when", ["price > 100 + 5%", "rsi(14, 1h) > 100"])
def test_a_rule_that_would_not_be_saved_like_that_and_stands_there_stops_no_start(
    tmp_path: Path, when: str
) -> None:
    config = load_text(tmp_path, EXAMPLE.replace("change(5m) <= -5%", when))
    assert config.rules[0].when == when
    with pytest.raises(ConfigError):
        check_spec(config.rules[0])


def test_variables_go_before_the_file(tmp_path: Path) -> None:
    config = load_text(
        tmp_path,
        EXAMPLE,
        CRYPTOWATCHER_DATA_DIR="/srv/watch",
        CRYPTOWATCHER_WEB__PORT="9000",
        CRYPTOWATCHER_WEB__HOSTS='["watch.example.org"]',
        CRYPTOWATCHER_SOURCES__0__EVERY="30s",
        CRYPTOWATCHER_RULES__0__FOR="1m",
        CRYPTOWATCHER_RULES__0__PAUSED="true",
    )
    assert config.data_dir == Path("/srv/watch")
    assert config.web.port == 9000
    assert config.web.hosts == ("watch.example.org",)
    assert fields(config.sources[0])["every"] == "30s"
    assert config.rules[0].for_ == "1m"
    assert config.rules[0].paused


def test_text_from_a_variable_is_text_whatever_it_looks_like(tmp_path: Path) -> None:
    config = load_text(tmp_path, EXAMPLE, CRYPTOWATCHER_RULES__0__NAME="250")
    assert config.rules[0].name == "250"


def test_variables_change_the_defaults_too_and_never_for_the_next_load() -> None:
    config = load(None, {"CRYPTOWATCHER_SOURCES__0__TOP": "10", "CRYPTOWATCHER_CHANNELS__0__NAME": "screen"})
    assert fields(config.sources[0])["top"] == 10
    assert config.channels[0].name == "screen"
    assert load(None, {}).channels[0].name == "console"


def test_variables_add_the_next_item_of_a_list(tmp_path: Path) -> None:
    added = {
        f"CRYPTOWATCHER_RULES__{number}__{key}": value
        for number in range(1, 12)
        for key, value in (("NAME", f"r{number}"), ("PAIRS", '["all"]'), ("WHEN", "price > 1"))
    }
    config = load_text(tmp_path, EXAMPLE, **added)
    assert [rule.name for rule in config.rules] == ["btc drops", *(f"r{number}" for number in range(1, 12))]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CRYPTOWATCHER_WEB__PROT", "1"),
        ("CRYPTOWATCHER_WEBB__PORT", "1"),
        ("CRYPTOWATCHER_WEB__PORT", "many"),
        ("CRYPTOWATCHER_WEB__PORT", "70000"),
        ("CRYPTOWATCHER_WEB__PORT__X", "1"),
        ("CRYPTOWATCHER_SOURCES__7__EVERY", "1s"),
        ("CRYPTOWATCHER_SOURCES__FIRST__EVERY", "1s"),
        ("CRYPTOWATCHER_SOURCES__0__KIND", "coingeko"),
        ("CRYPTOWATCHER_SOURCES__0__IDS", "[1]"),
        ("CRYPTOWATCHER_DATA_DIR__X", "1"),
        ("CRYPTOWATCHER_RULES__0__WHEN", "price is high"),
        ("CRYPTOWATCHER_", "1"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, variable: str, value: str) -> None:
    error = error_of(tmp_path, EXAMPLE, **{variable: value})
    assert error.where.split(":")[0] == variable


def test_variables_that_hold_secrets_are_no_settings(tmp_path: Path) -> None:
    text = EXAMPLE.replace('secret_file = "hook.key"', 'secret_variable = "CRYPTOWATCHER_KEY"')
    load_text(tmp_path, text, CRYPTOWATCHER_KEY="s3cret")
    load_text(
        tmp_path,
        text.replace("CRYPTOWATCHER_KEY", "X"),
        CRYPTOWATCHER_CHANNELS__0__SECRET_VARIABLE="CRYPTOWATCHER_OTHER",
        CRYPTOWATCHER_OTHER="s3cret",
    )


def test_every_setting_knows_where_it_came_from(tmp_path: Path) -> None:
    found = resolve(write(tmp_path, EXAMPLE), {"CRYPTOWATCHER_WEB__PORT": "9000"}, data_dir=tmp_path / "x")
    assert found.origin("web.port") == "CRYPTOWATCHER_WEB__PORT"
    assert found.origin("web.host") == "file"
    assert found.origin("sources[0].ids") == "file"
    assert found.origin("web.hosts") == "default"
    assert found.origin("data_dir") == "--data-dir"
    assert found.config.data_dir == tmp_path / "x"


def test_folders_are_relative_to_where_they_are_named(tmp_path: Path) -> None:
    assert load_text(tmp_path, 'data_dir = "here"').data_dir == tmp_path / "here"
    assert load_text(tmp_path, "").data_dir == Path.cwd() / "data"
    assert (
        load_text(tmp_path, 'data_dir = "here"', CRYPTOWATCHER_DATA_DIR="there").data_dir == Path.cwd() / "there"
    )


def test_a_secret_file_is_found_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "hook.key").write_text("s3cret\n")
    os.chmod(tmp_path / "hook.key", 0o600)
    secret = load_text(tmp_path, EXAMPLE).secret_reader({})
    assert secret(file="hook.key", variable=None, where="x") == "s3cret"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "127.0.0.5", "localhost"])
def test_a_page_that_only_this_machine_reaches_may_be_open(tmp_path: Path, host: str) -> None:
    file = tmp_path / "cryptowatcher.toml"
    file.write_text(f'[web]\nhost = "{host}"\nopen = true\n')
    assert load(file, {}).web.open
    assert not load(None, {}).web.open
