"""`doctor` finds what is wrong, says what to do, changes nothing, and survives everything."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from email.utils import formatdate
from pathlib import Path
from random import Random

import apsw
import msgspec
import pytest

from cryptowatcher.cli.output import now
from cryptowatcher.config import load
from cryptowatcher.doctor import examine
from cryptowatcher.doctor.findings import Case, Told
from cryptowatcher.doctor.folder import mounted
from cryptowatcher.doctor.update import schema_steps
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.status import BackupNote
from cryptowatcher.supervise import only_instance
from cryptowatcher.testing.fake_coingecko import FakeCoinGecko
from cryptowatcher.testing.market import Market
from cryptowatcher.testing.misbehaviour import Misbehaviour
from tests.cli.terminal import Terminal
from tests.cli.test_backup import fill
from tests.pipeline.inline import Hands

Rubbish = Callable[[Path], object]


def findings(terminal: Terminal, *args: str | Path, code: int | None = None, **environ: str) -> list[Told]:
    result = terminal.run("doctor", "--json", *args, **environ)
    found = msgspec.json.decode(result.stdout, type=list[Told])
    assert result.exit_code == int(any(told.state == "wrong" for told in found))
    assert code in (None, result.exit_code), found
    return found


def states(found: list[Told]) -> dict[str, str]:
    """`section: name` → the worst that was found there."""
    ranks = ("ok", "warning", "wrong")
    worst: dict[str, str] = {}
    for told in found:
        key = f"{told.section}: {told.name}"
        worst[key] = max(worst.get(key, "ok"), told.state, key=ranks.index)
    return worst


def told_of(found: list[Told], name: str) -> Told:
    """The worst finding of a check."""
    return next(
        told for state in ("wrong", "warning", "ok") for told in found if (told.name, told.state) == (name, state)
    )


@pytest.fixture
def watched(terminal: Terminal) -> Terminal:
    """A data folder as a watcher leaves it, with a backup, and a configuration that takes a free port."""
    terminal.write("cryptowatcher.toml", "[web]\nport = 0\n")
    fill(terminal.folder / "data", 20)
    assert terminal.run("backup").exit_code == 0
    return terminal


def as_it_was(folder: Path) -> dict[str, bytes]:
    return {str(each): each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file()}


def test_a_sound_folder_is_found_sound_and_left_as_it_was(watched: Terminal) -> None:
    before = as_it_was(watched.folder)
    found = findings(watched, "--offline", "--pre-update", code=0)
    assert {told.section for told in found} == {"settings", "machine", "data", "watcher", "update"}
    assert [told for told in found if told.section in ("data", "update") and told.state == "wrong"] == []
    assert states(found)["data: journal"] == states(found)["data: store"] == "ok"
    assert as_it_was(watched.folder) == before


def test_every_trouble_comes_with_what_to_do(terminal: Terminal) -> None:
    (terminal.folder / "data").mkdir()
    (terminal.folder / "data/store.db").write_text("nonsense")
    shown = terminal.run("doctor", "--offline").stdout.splitlines()
    troubles = [number for number, line in enumerate(shown) if line.startswith(("  ✗", "  !"))]
    assert troubles
    assert [shown[number] for number in troubles if not shown[number + 1].startswith("    → ")] == []


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("this is no database, but it is long enough to be one, and it is in the way" * 99)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4096])


def shuffled(path: Path) -> None:
    """All bytes but those by which it is known as a database."""
    data = bytearray(path.read_bytes())
    rest = data[100:]
    Random(1).shuffle(rest)
    path.write_bytes(data[:100] + rest)


def another(path: Path) -> None:
    path.unlink()
    with closing(apsw.Connection(str(path))) as db:
        db.execute("CREATE TABLE records (x)")


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


@pytest.mark.parametrize("name", ["journal.db", "store.db"])
@pytest.mark.parametrize("rubbish", [folder, empty, text, cut, shuffled, another, link, loop])
def test_rubbish_is_found_and_not_touched(watched: Terminal, name: str, rubbish: Rubbish) -> None:
    rubbish(watched.folder / "data" / name)
    before = as_it_was(watched.folder)
    found = findings(watched, "--offline", "--pre-update", code=1)
    assert states(found)[f"data: {name.removesuffix('.db')}"] == "wrong"
    other = {"journal.db": "store", "store.db": "journal"}[name]
    assert states(found)[f"data: {other}"] == "ok"
    assert len(states(found)) >= len(states(findings(watched, "--offline")))
    assert as_it_was(watched.folder) == before


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[]", b'{"at": "yesterday"}', b'{"at": 1e99, "path": 7}', b"null"]
)
def test_a_note_of_the_last_backup_that_cannot_be_understood_is_a_warning(
    watched: Terminal, content: bytes
) -> None:
    (watched.folder / "data/backup.json").write_bytes(content)
    found = findings(watched, "--offline", "--pre-update", code=1)
    assert states(found)["data: backup"] == "warning"
    assert states(found)["update: backup"] == "wrong"


@pytest.mark.parametrize("name", ["backup.json", "restoring.json", "lock"])
def test_a_folder_in_a_files_place_is_survived(watched: Terminal, name: str) -> None:
    (watched.folder / "data" / name).unlink(missing_ok=True)
    (watched.folder / "data" / name).mkdir()
    found = findings(watched, "--offline", "--pre-update", code=1)
    assert states(found)["data: journal"] == "ok"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_of_another_user_are_named(watched: Terminal) -> None:
    (watched.folder / "data/store.db").chmod(0)
    found = findings(watched, "--offline", code=1)
    assert "store.db" in told_of(found, "folder").said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_that_is_closed_to_this_user_is_survived() -> None:
    """As nobody; in a process of its own, because there is no way back. What it needs is loaded before."""
    with tempfile.TemporaryDirectory() as open_to_all:
        place = Path(open_to_all)
        place.chmod(0o755)
        fill(place / "data", 5)
        (place / "data").chmod(0o700)
        script = """
import os
from contextlib import redirect_stdout, suppress
from cryptowatcher.cli.root import app
asked = ["doctor", "--offline", "--json"]
with suppress(SystemExit), open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
    app(asked)
os.setgid(65534)
os.setuid(65534)
app(asked)
"""
        run = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, cwd=place)
    found = msgspec.json.decode(run.stdout, type=list[Told])
    assert run.returncode == 1
    assert [f"{told.section}: {told.name}" for told in found if told.state == "wrong"] == ["data: folder"]
    assert states(found)["machine: versions"] == "ok"
    assert "Traceback" not in run.stderr.decode()


def test_no_folder_yet_is_no_trouble(terminal: Terminal) -> None:
    terminal.write("cryptowatcher.toml", "[web]\nport = 0\n")
    found = findings(terminal, "--offline", "--pre-update", code=0)
    assert states(found)["data: folder"] == "warning"
    assert not (terminal.folder / "data").exists()


def test_a_file_in_the_folders_place_is(terminal: Terminal) -> None:
    terminal.write("data", "")
    assert states(findings(terminal, "--offline", code=1))["data: folder"] == "wrong"


def test_a_configuration_that_does_not_load_is_a_finding(terminal: Terminal) -> None:
    terminal.write("cryptowatcher.toml", "[web]\nprot = 1\n")
    (told,) = findings(terminal, "--offline", code=1)
    assert "web.prot" in told.said
    assert "port" in told.todo


def test_a_secret_that_cannot_be_read_is_named_and_one_that_can_is_not_shown(watched: Terminal) -> None:
    channel = '[[channels]]\nkind = "webhook"\nname = "{0}"\nurl = "http://localhost/"\nsecret_{1}\n'
    watched.write(
        "cryptowatcher.toml",
        channel.format("a", 'file = "gone.key"') + channel.format("b", 'variable = "HOOK"'),
    )
    result = watched.run("doctor", "--offline", HOOK="hunter2")
    assert result.exit_code == 1
    assert "gone.key" in result.stdout
    assert "channels[0].secret_file" in result.stdout
    assert "hunter2" not in result.output
    watched.write("gone.key", "hunter2").chmod(0o644)
    result = watched.run("doctor", "--offline", HOOK="hunter2")
    assert "everyone on this machine can read" in result.stdout
    assert "hunter2" not in result.output


# --- the pair --------------------------------------------------------------------------------------


def change(path: Path, sql: str) -> None:
    with closing(apsw.Connection(str(path))) as db:
        db.execute(sql)


def test_a_newer_journal_is_wrong_and_a_newer_store_a_warning(watched: Terminal) -> None:
    change(watched.folder / "data/journal.db", "PRAGMA user_version = 99")
    change(watched.folder / "data/store.db", "UPDATE alembic_version SET version_num = '9999'")
    found = states(findings(watched, "--offline", code=1))
    assert found["data: journal"] == "wrong"
    assert found["data: store"] == "warning"


def test_an_older_journal_says_what_the_next_start_does(watched: Terminal) -> None:
    change(watched.folder / "data/journal.db", "PRAGMA user_version = 1")
    found = findings(watched, "--offline", code=0)
    assert states(found)["data: journal"] == "warning"
    assert "the next start takes it to schema 2" in told_of(found, "journal").said
    assert "backup" in told_of(found, "journal").todo


def test_an_older_store_says_what_the_next_start_does(watched: Terminal) -> None:
    change(watched.folder / "data/store.db", "UPDATE alembic_version SET version_num = '0000'")
    found = findings(watched, "--offline", "--pre-update", code=0)
    assert "the next start takes it to" in told_of(found, "store").said
    assert "from 0000 to" in told_of(found, "schema").said


def test_a_step_that_takes_something_away_stops_an_update(watched: Terminal) -> None:
    steps = watched.folder / "steps"
    steps.mkdir()
    for name, body in {"0002_add.py": "", "0003_remove.py": "contract = True\n"}.items():
        (steps / name).write_text(f'revision = "{name[:4]}"\n{body}')
    case = Case(config=load(None, {}), clock=Hands(0), environ={})
    change(watched.folder / "data/store.db", "UPDATE alembic_version SET version_num = '0001'")
    (found,) = schema_steps(case, steps)
    assert found.state == "wrong"
    assert "0003_remove" in found.said
    (steps / "0003_remove.py").unlink()
    (found,) = schema_steps(case, steps)
    assert found.state == "ok"


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("UPDATE cursors SET journal = 'another'", "belongs to journal another"),
        ("UPDATE cursors SET seq = 99", "ends at 20, before the store's place 99"),
    ],
)
def test_a_store_that_does_not_fit_its_journal_is_said(watched: Terminal, sql: str, words: str) -> None:
    change(watched.folder / "data/store.db", sql)
    told = told_of(findings(watched, "--offline", code=0), "store and journal")
    assert told.state == "warning"
    assert words in told.said


def test_records_missing_in_the_middle_are_found(watched: Terminal) -> None:
    change(watched.folder / "data/journal.db", "DELETE FROM records WHERE seq IN (7, 9)")
    told = told_of(findings(watched, "--offline", code=1), "journal")
    assert told.said.startswith("2 records are missing")


def test_an_interrupted_restore_is_found(watched: Terminal) -> None:
    (watched.folder / "data/restoring.json").write_text('{"aside": "x", "files": []}')
    assert told_of(findings(watched, "--offline", code=1), "restore").state == "wrong"


def test_what_a_killed_restore_left_is_found(watched: Terminal) -> None:
    watched.write("data/.store.db.restoring", "half")
    assert ".store.db.restoring" in told_of(findings(watched, "--offline", code=0), "restore").said


def test_a_watcher_that_runs_and_writes_nothing_is_found(watched: Terminal) -> None:
    with only_instance(watched.folder / "data"):
        told = told_of(findings(watched, "--offline", code=1), "process")
    assert "has written nothing" in told.said


def test_an_old_backup_is_a_warning_and_stops_an_update(watched: Terminal) -> None:
    for age, expected, update in (
        (MS["h"], "ok", "ok"),
        (2 * MS["d"], "ok", "wrong"),
        (9 * MS["d"], "warning", "wrong"),
    ):
        note = BackupNote(now() - age, str(watched.folder))
        (watched.folder / "data/backup.json").write_bytes(msgspec.json.encode(note))
        found = states(findings(watched, "--offline", "--pre-update"))
        assert (found["data: backup"], found["update: backup"]) == (expected, update)


def test_a_backup_that_is_gone_is_a_warning(watched: Terminal) -> None:
    note = BackupNote(now(), str(watched.folder / "gone"))
    (watched.folder / "data/backup.json").write_bytes(msgspec.json.encode(note))
    assert states(findings(watched, "--offline"))["data: backup"] == "warning"


# --- machine and network ---------------------------------------------------------------------------


def test_the_file_system_is_that_of_the_nearest_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    (tmp_path / "a b/c").mkdir(parents=True)
    place = str(tmp_path).replace(" ", "\\040")
    mounts.write_text(f"/dev/x / ext4 rw 0 0\nnas:/x {place}/a\\040b nfs4 rw 0 0\ngarbage\n")
    assert mounted(tmp_path / "a b/c", mounts) == ("nfs4", str(tmp_path / "a b"))
    assert mounted(tmp_path, mounts) == ("ext4", "/")
    assert mounted(tmp_path, tmp_path / "none") is None


def test_a_port_that_another_program_has_is_found(watched: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        port = server.getsockname()[1]
        found = asyncio.run(beside_a_stranger(watched, server, port))
    told = told_of(found, "page")
    assert told.state == "wrong"
    assert str(port) in told.said


async def beside_a_stranger(terminal: Terminal, server: socket.socket, port: int) -> list[Told]:
    """Findings while something that is no cryptowatcher answers there."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, sock=server):
        return await asyncio.to_thread(findings, terminal, "--offline", CRYPTOWATCHER_WEB__PORT=str(port))


def with_fake(story: Callable[[FakeCoinGecko], list[Told]]) -> list[Told]:
    async def main() -> list[Told]:
        async with FakeCoinGecko(Market(3, 30)) as fake:
            return await asyncio.to_thread(story, fake)

    return asyncio.run(main())


def online(terminal: Terminal, url: str, hook: str, *, allow: str = "127.0.0.1") -> None:
    channel = f'[[channels]]\nkind = "webhook"\nname = "ops"\nurl = "{hook}"\n' if hook else ""
    source = f'[[sources]]\nkind = "coingecko"\nbase_url = "{url}"\ntop = 20\n'
    allowed = f'[outbound]\nallow = ["{allow}"]\n'
    terminal.write("cryptowatcher.toml", f"[web]\nport = 0\n{source}{channel}{allowed}")


def test_sources_and_channels_are_reached_and_nothing_is_sent(watched: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hook:
        hook.settimeout(30)

        def story(fake: FakeCoinGecko) -> list[Told]:
            online(watched, fake.url, f"http://127.0.0.1:{hook.getsockname()[1]}/")
            found = findings(watched, code=0)
            asked = [request.path for request in fake.requests if "/coins/" in request.path]
            assert len(asked) == 1, "one call, no more"
            return found

        found = states(with_fake(story))
        assert found["outside: sources"] == found["outside: channels"] == "ok"
        with hook.accept()[0] as connection:
            connection.settimeout(30)
            assert connection.recv(1) == b""


def test_a_channel_with_a_private_address_is_named_and_not_connected_to(watched: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hook:
        hook.setblocking(False)

        def story(fake: FakeCoinGecko) -> list[Told]:
            online(watched, fake.url, f"http://localhost:{hook.getsockname()[1]}/", allow="10.0.0.1")
            return findings(watched, code=1)

        told = told_of(with_fake(story), "channels")
        assert "private network" in told.said
        assert "[outbound] allow" in told.todo
        with pytest.raises(BlockingIOError):
            hook.accept()


def test_offline_asks_nobody(watched: Terminal) -> None:
    def story(fake: FakeCoinGecko) -> list[Told]:
        online(watched, fake.url, "")
        found = findings(watched, "--offline")
        assert not fake.requests
        return found

    assert not [told for told in with_fake(story) if told.section == "outside"]


def test_a_source_that_refuses_and_a_channel_that_is_not_there_are_named(watched: Terminal) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))

        def story(fake: FakeCoinGecko) -> list[Told]:
            fake.misbehave(Misbehaviour(kind="rate_limited_seconds"))
            online(watched, fake.url, f"http://127.0.0.1:{nobody.getsockname()[1]}/")
            return findings(watched, code=1)

        found = with_fake(story)
    assert told_of(found, "sources").said.startswith("coingecko: ")
    assert told_of(found, "channels").said.startswith("ops: 127.0.0.1 port ")


@pytest.mark.parametrize(("off", "state"), [(0, "ok"), (20_000, "warning"), (-3_600_000, "wrong")])
def test_a_clock_that_is_off_is_found(watched: Terminal, off: int, state: str) -> None:
    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        date = formatdate(now() / 1000, usegmt=True)
        writer.write(f"HTTP/1.1 404 Not Found\r\ndate: {date}\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async def main() -> list[Told]:
        async with await asyncio.start_server(tell, "127.0.0.1", 0) as server:
            online(watched, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "")
            config = load(watched.folder / "cryptowatcher.toml", {})
            case = Case(config=config, clock=Hands(now() + off), environ={})
            return await asyncio.to_thread(lambda: list(examine(case)))

    assert told_of(asyncio.run(main()), "clock").state == state


def test_a_rule_of_the_configuration_that_is_hardly_meant_is_a_warning(terminal: Terminal) -> None:
    assert states(findings(terminal, "--offline"))["settings: rules"] == "ok"
    terminal.write("cryptowatcher.toml", '[[rules]]\nname = "a"\npairs = ["all"]\nwhen = "price > 100 + 5%"')
    found = findings(terminal, "--offline")
    assert states(found)["settings: rules"] == "warning"
    assert "write 105" in told_of(found, "rules").said
