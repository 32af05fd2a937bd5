"""`backup` and `restore`: whole or not at all, and never over what stands there."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import apsw
import msgspec
import pytest

from cryptowatcher import app as program
from cryptowatcher.adapters.sqlite_file import copy_file, look_into
from cryptowatcher.backup.facts import journal_facts, store_facts
from cryptowatcher.backup.manifest import Manifest, backups_in, read_backup
from cryptowatcher.backup.restore import finish_restore, is_restoring, restore
from cryptowatcher.backup.take import take
from cryptowatcher.config import Config, resolve
from cryptowatcher.domain.records import Beat, Draft
from cryptowatcher.domain.status import BackupNote
from cryptowatcher.domain.watcher import CHECKPOINT_SCHEMA
from cryptowatcher.errors import ConfigError, Unavailable
from cryptowatcher.ports import Cursor, Journal, Step, Store
from cryptowatcher.supervise import only_instance
from tests.cli.terminal import Terminal, alert, delivery
from tests.pipeline.inline import Hands
from tests.processes import PATIENCE, ran

CLOCK = Hands(1_722_838_500_000)


def config_of(folder: Path) -> Config:
    return resolve(None, {}, data_dir=folder).config


async def watched(store: Store, journal: Journal, number: int) -> None:
    """So many records more, an alert and its delivery, and a checkpoint, as a watcher would leave them."""
    head = await journal.head()
    drafts = [Draft("w", head + each, Beat()) for each in range(1, number + 1)]
    cursor = Cursor(journal.id, await journal.append(drafts), CLOCK.now())
    about = alert(cursor.seq)
    step = Step(cursor=cursor, alerts=[about], deliveries=[delivery(about)])
    await store.run(lambda tx: tx.commit_step(step, epoch=tx.new_epoch("watch"), before=tx.cursor()))
    await store.run(lambda tx: tx.save_checkpoint(cursor, CHECKPOINT_SCHEMA, b"state"))


def fill(folder: Path, number: int = 5) -> None:
    async def work() -> None:
        config = config_of(folder)
        opening = program.open_store(config, clock=CLOCK), program.open_journal(config, clock=CLOCK)
        async with opening[0] as store, opening[1] as journal:
            await watched(store, journal, number)

    asyncio.run(work())


def content(path: Path) -> list[tuple[object, ...]]:
    """Every row of every table of a database."""
    with closing(look_into(path)) as db:
        tables = sorted(name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))
        return sorted(
            ((table, *row) for table in tables for row in db.execute(f'SELECT * FROM "{table}"')), key=repr
        )


def contents(folder: Path) -> list[list[tuple[object, ...]]]:
    return [content(folder / name) for name in ("journal.db", "store.db")]


def the_backup(folder: Path) -> Path:
    (found,) = backups_in(folder)
    return found.path


# --- taking ----------------------------------------------------------------------------------------


def test_a_backup_restored_into_an_empty_place_holds_the_same(terminal: Terminal) -> None:
    terminal.write("cryptowatcher.toml", "[web]\nport = 8123\n")
    fill(terminal.folder / "data")
    taken = terminal.run("backup")
    assert taken.exit_code == 0, taken.output
    backup = Path(taken.stdout.strip())
    assert backup == the_backup(terminal.folder / "data-backups")
    assert (backup / "cryptowatcher.toml").read_text() == "[web]\nport = 8123\n"
    assert terminal.run("restore", backup, "--yes", "--data-dir", "new").exit_code == 0
    assert contents(terminal.folder / "new") == contents(terminal.folder / "data")


def test_a_backup_says_what_it_is_and_the_data_folder_when_it_was(terminal: Terminal) -> None:
    terminal.write("hook.key", "s3cret").chmod(0o600)
    terminal.write(
        "cryptowatcher.toml",
        '[[channels]]\nkind = "webhook"\nname = "ops"\nurl = "http://localhost/"\nsecret_file = "hook.key"\n',
    )
    fill(terminal.folder / "data", 5)
    answer = terminal.run("backup", "kept", "--json")
    backup = the_backup(terminal.folder / "kept")
    manifest = msgspec.json.decode((backup / "manifest.json").read_bytes(), type=Manifest)
    assert manifest.journal.head == 5
    assert manifest.store is not None
    assert manifest.store.cursor == Cursor(manifest.journal.id, 5, CLOCK.now())
    assert manifest.store.unsent == 1
    assert manifest.secrets == ("file hook.key",)
    assert msgspec.json.decode(answer.stdout)["path"] == str(backup)
    note = msgspec.json.decode((terminal.folder / "data/backup.json").read_bytes(), type=BackupNote)
    assert note.path == str(backup)
    assert note.at >= manifest.at
    assert not [each for each in backup.iterdir() if b"s3cret" in each.read_bytes()]
    assert {each.stat().st_mode & 0o777 for each in backup.iterdir()} == {0o600}


@pytest.mark.parametrize("place", ["data", "data/backups", "data/../data/deep/er"])
def test_a_backup_in_the_data_folder_is_refused(terminal: Terminal, place: str) -> None:
    fill(terminal.folder / "data")
    result = terminal.run("backup", place)
    assert result.exit_code == 2
    assert "data folder" in result.stderr
    assert not list((terminal.folder / "data").glob("**/manifest.json"))


def test_where_nothing_is_stored_there_is_nothing_to_back_up(terminal: Terminal) -> None:
    result = terminal.run("backup", "kept")
    assert result.exit_code == 1
    assert "nothing has been stored yet" in result.stderr
    assert not (terminal.folder / "kept").exists()


def test_a_place_that_cannot_be_written_is_named(terminal: Terminal) -> None:
    fill(terminal.folder / "data")
    terminal.write("file", "")
    result = terminal.run("backup", "file/kept")
    assert result.exit_code == 2
    assert "file/kept: cannot be written" in result.stderr


def test_damaged_data_are_not_called_a_backup(terminal: Terminal) -> None:
    fill(terminal.folder / "data", 400)
    damage(terminal.folder / "data/journal.db")
    result = terminal.run("backup", "kept")
    assert result.exit_code == 2
    assert "journal.db" in result.stderr
    assert list((terminal.folder / "kept").iterdir()) == []


def test_a_full_disk_leaves_no_half_backup(terminal: Terminal) -> None:
    fill(terminal.folder / "data", 2_000)
    limit = (terminal.folder / "data/journal.db").stat().st_size // 2
    small = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    program = "from cryptowatcher.cli import main; main()"
    run = ran(sys.executable, "-c", f"{small}; {program}", "backup", "kept", cwd=terminal.folder)
    assert run.returncode == 2, run.stderr
    assert run.stderr.startswith("Error: ")
    assert "Traceback" not in run.stderr
    assert list((terminal.folder / "kept").iterdir()) == []
    assert not (terminal.folder / "data/backup.json").exists()


def test_only_the_newest_of_the_same_data_folder_are_kept(terminal: Terminal) -> None:
    for folder in ("data", "other"):
        fill(terminal.folder / folder)
        for number in range(3):
            take(
                config_of(terminal.folder / folder),
                terminal.folder / "kept",
                clock=Hands(10 * len(folder) + number),
            )
    before = [backup.path for backup in backups_in(terminal.folder / "kept")]
    assert len(before) == 6
    assert terminal.run("backup", "kept", "--keep", "2").exit_code == 0
    left = backups_in(terminal.folder / "kept")
    mine = [backup for backup in left if backup.manifest.of.endswith("/data")]
    assert len(left) == 5
    assert len(mine) == 2
    assert mine[-1].path not in before


def test_a_copy_is_the_database_as_it_was_when_copying_began(tmp_path: Path) -> None:
    """Others commit between the steps, and it neither begins again nor sees them."""
    source, target = tmp_path / "a.db", tmp_path / "b.db"
    with closing(apsw.Connection(str(source))) as db:
        db.pragma("journal_mode", "wal")
        db.execute("CREATE TABLE t (x, y)")
        with db:
            db.executemany("INSERT INTO t VALUES (?, ?)", ((number, bytes(4000)) for number in range(5_000)))
        then = db.execute("SELECT count(*), sum(x) FROM t").get
        steps = []

        def commit(done: int, of: int) -> None:
            steps.append((done, of))
            assert len(steps) < 100, "it begins again and again"
            db.execute("INSERT INTO t VALUES (1, zeroblob(9000)); UPDATE t SET x = x + 1 WHERE rowid % 7 = 0")

        copy_file(source, target, commit)
    assert len(steps) > 3
    assert steps[-1][0] == steps[-1][1] == target.stat().st_size
    with closing(look_into(target, still=True)) as copy:
        assert copy.execute("SELECT count(*), sum(x) FROM t").get == then


Act = Callable[[Store, Journal], Awaitable[None]]


def backup_with(folder: Path, beside: Act, *, times: int) -> Manifest:
    """A backup of a folder in which something happens between the copy of the store and that of the journal."""
    left = times

    async def happen() -> None:
        config = config_of(folder)
        opening = program.open_store(config, clock=CLOCK), program.open_journal(config, clock=CLOCK)
        async with opening[0] as store, opening[1] as journal:
            await beside(store, journal)

    def progress(what: str, done: int, of: int) -> None:
        nonlocal left
        if what == "copy store.db" and done == of and left:
            left -= 1
            asyncio.run(happen())

    return take(config_of(folder), folder.parent / "kept", clock=CLOCK, progress=progress).manifest


async def trimmed_behind_a_new_checkpoint(store: Store, journal: Journal) -> None:
    await watched(store, journal, 5)
    await journal.trim(await journal.head() - 1)


async def replaced(store: Store, journal: Journal) -> None:
    await journal.renew()


@pytest.mark.parametrize("beside", [trimmed_behind_a_new_checkpoint, replaced])
def test_what_the_stores_copy_needs_stands_in_the_journals(tmp_path: Path, beside: Act) -> None:
    fill(tmp_path / "data", 5)
    manifest = backup_with(tmp_path / "data", beside, times=1)
    assert manifest.store is not None
    assert manifest.store.cursor is not None
    assert manifest.journal.trimmed <= manifest.store.checkpoint
    assert manifest.store.cursor.seq <= manifest.journal.head
    assert manifest.journal.id == journal_facts(tmp_path / "data/journal.db").id


def test_a_journal_that_never_stands_still_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    fill(tmp_path / "data", 5)
    with pytest.raises(Unavailable, match="trimmed"):
        backup_with(tmp_path / "data", trimmed_behind_a_new_checkpoint, times=99)
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_journal_that_was_trimmed_before_can_be_backed_up(tmp_path: Path) -> None:
    """Even when the store has no checkpoint that reaches back so far: a start now would miss it as well."""
    fill(tmp_path / "data", 5)

    async def trim() -> None:
        async with program.open_journal(config_of(tmp_path / "data"), clock=CLOCK) as journal:
            await journal.trim(5)

    asyncio.run(trim())
    with closing(apsw.Connection(str(tmp_path / "data/store.db"))) as db:
        db.execute("DELETE FROM checkpoints")
    assert take(config_of(tmp_path / "data"), tmp_path / "kept", clock=CLOCK).manifest.journal.trimmed == 5


def test_a_store_that_is_ahead_of_its_journal_is_no_backup(tmp_path: Path) -> None:
    fill(tmp_path / "data", 5)
    with closing(apsw.Connection(str(tmp_path / "data/store.db"))) as db:
        db.execute("UPDATE cursors SET seq = 9")
    with pytest.raises(ConfigError, match="the journal ends at 5"):
        take(config_of(tmp_path / "data"), tmp_path / "kept", clock=CLOCK)


# --- killed ----------------------------------------------------------------------------------------

KILLED_AT = """
import os, signal, sys
from pathlib import Path
from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.backup.manifest import read_backup
from cryptowatcher.backup.restore import restore
from cryptowatcher.backup.take import take
from cryptowatcher.config import resolve

act, folder, other = sys.argv[1:]
step = 0
while True:
    target = Path(f"{folder}-{step}")
    child = os.fork()
    if child == 0:
        left = step
        def progress(what, done, of):
            global left
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
        config = resolve(None, {}, data_dir=target).config
        if act == "take":
            take(config, target.with_name(f"{target.name}-kept"), clock=SystemClock(), progress=progress)
        else:
            restore(config, read_backup(Path(other)), clock=SystemClock(), progress=progress)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status == 0:
        break
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
    step += 1
print(step)
"""


def killed_at_each_step(act: str, folder: Path, other: Path = Path()) -> int:
    """Do it in `folder-0`, `folder-1`, …, killed there at step 0, 1, … until it was not; how many kills."""
    command = [sys.executable, "-W", "ignore", "-c", KILLED_AT, act, str(folder), str(other)]
    done = ran(*command)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def copies_of(folder: Path, most: int = 20) -> None:
    for number in range(most):
        target = Path(f"{folder}-{number}")
        target.mkdir()
        for each in folder.iterdir():
            (target / each.name).write_bytes(each.read_bytes())


def test_kill_9_at_any_step_of_a_backup_leaves_none_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    fill(tmp_path / "data", 400)
    copies_of(tmp_path / "data")
    kills = killed_at_each_step("take", tmp_path / "data")
    assert kills >= 3
    for number in range(kills):
        kept = tmp_path / f"data-{number}-kept"
        assert backups_in(kept) == []
        assert not (tmp_path / f"data-{number}/backup.json").exists()
        take(config_of(tmp_path / f"data-{number}"), kept, clock=CLOCK)
        assert [each.name for each in kept.iterdir()] == [backups_in(kept)[0].path.name]
    assert len(backups_in(tmp_path / f"data-{kills}-kept")) == 1


def test_kill_9_at_any_step_of_a_restore_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    fill(tmp_path / "new", 7)
    backup = take(config_of(tmp_path / "new"), tmp_path / "kept", clock=CLOCK)
    fill(tmp_path / "old", 300)
    copies_of(tmp_path / "old")
    old, new = contents(tmp_path / "old"), contents(tmp_path / "new")
    kills = killed_at_each_step("restore", tmp_path / "old", backup.path)
    left = []
    for number in range(kills + 1):
        folder = tmp_path / f"old-{number}"
        interrupted = is_restoring(folder)
        # What a start does before it opens anything.
        assert finish_restore(folder) == interrupted
        left.append(contents(folder))
        assert left[-1] in (old, new), f"killed at step {number}"
        if left[-1] == new:
            (aside,) = folder.glob("before-restore-*")
            assert contents(aside) == old
        assert not is_restoring(folder)
    assert left[0] == old
    assert left[-1] == new
    assert left == sorted(left, key=lambda found: found == new), "once decided, it stays decided"
    assert sum(found == new for found in left) >= 4, "killed also between the renames"


# --- restoring -------------------------------------------------------------------------------------


def damage(path: Path) -> None:
    """Some bytes in the middle."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 64] = os.urandom(64)
    path.write_bytes(data)


def test_what_stood_there_is_moved_aside_with_all_that_belongs_to_it(terminal: Terminal) -> None:
    fill(terminal.folder / "data", 5)
    terminal.run("backup", "kept")
    fill(terminal.folder / "data", 5)
    before = contents(terminal.folder / "data")
    result = terminal.run("restore", the_backup(terminal.folder / "kept"), "--yes")
    assert result.exit_code == 0, result.output
    (aside,) = (terminal.folder / "data").glob("before-restore-*")
    assert contents(aside) == before
    assert journal_facts(terminal.folder / "data/journal.db").head == 5
    assert str(aside / "store.db") in result.stderr


def test_what_was_killed_and_never_checkpointed_is_moved_aside_whole(tmp_path: Path) -> None:
    """Commits that stand only in the write-ahead log are not lost, and not replayed into the new files."""
    fill(tmp_path / "data", 5)
    backup = take(config_of(tmp_path / "data"), tmp_path / "kept", clock=CLOCK)
    writer = f"""
import apsw, os
db = apsw.Connection({str(tmp_path / "data/journal.db")!r})
db.wal_autocheckpoint(0)
db.execute("UPDATE journal SET trimmed_at = 77")
os._exit(0)
"""
    assert ran(sys.executable, "-c", writer).returncode == 0
    assert (tmp_path / "data/journal.db-wal").stat().st_size > 0
    restore(config_of(tmp_path / "data"), backup, clock=CLOCK)
    (aside,) = (tmp_path / "data").glob("before-restore-*")
    trimmed_at = ("journal", 1, journal_facts(tmp_path / "data/journal.db").id, 0)
    assert (*trimmed_at, 77) in content(aside / "journal.db")
    assert (*trimmed_at, 0) in content(tmp_path / "data/journal.db")


def test_damaged_files_are_replaced_too(terminal: Terminal) -> None:
    fill(terminal.folder / "data", 400)
    terminal.run("backup", "kept")
    before = contents(terminal.folder / "data")
    (terminal.folder / "data/journal.db").write_text("no database")
    damage(terminal.folder / "data/store.db")
    result = terminal.run("restore", the_backup(terminal.folder / "kept"), "--yes")
    assert result.exit_code == 0, result.output
    assert contents(terminal.folder / "data") == before


def test_what_belonged_to_a_file_that_is_gone_is_not_read_into_the_new_one(terminal: Terminal) -> None:
    fill(terminal.folder / "data", 5)
    terminal.run("backup", "kept")
    before = contents(terminal.folder / "data")
    (terminal.folder / "data/journal.db").unlink()
    terminal.write("data/journal.db-wal", "of the one that is gone")
    result = terminal.run("restore", the_backup(terminal.folder / "kept"), "--yes")
    assert result.exit_code == 0, result.output
    (aside,) = (terminal.folder / "data").glob("before-restore-*")
    assert (aside / "journal.db-wal").read_text() == "of the one that is gone"
    assert contents(terminal.folder / "data") == before


def refused(terminal: Terminal, *words: str) -> None:
    """Restoring is, with these words, and nothing in the data folder has changed."""
    before = contents(terminal.folder / "data")
    (backup,) = (terminal.folder / "kept").iterdir()
    result = terminal.run("restore", backup, "--yes")
    assert result.exit_code == 2, result.output
    assert [word for word in words if word not in result.stderr] == []
    assert contents(terminal.folder / "data") == before
    names = {each.name for each in (terminal.folder / "data").iterdir()}
    assert names <= {"journal.db", "store.db", "store.db-wal", "store.db-shm", "lock", "backup.json"}


@pytest.fixture
def backed_up(terminal: Terminal) -> Path:
    fill(terminal.folder / "data", 400)
    terminal.run("backup", "kept")
    return the_backup(terminal.folder / "kept")


@pytest.mark.parametrize("name", ["journal.db", "store.db"])
def test_a_damaged_backup_is_refused(terminal: Terminal, backed_up: Path, name: str) -> None:
    damage(backed_up / name)
    refused(terminal, name)


def test_a_backup_that_somebody_has_changed_is_refused(terminal: Terminal, backed_up: Path) -> None:
    """It is a sound database, and not what was backed up."""
    with closing(apsw.Connection(str(backed_up / "store.db"))) as db:
        db.execute("UPDATE deliveries SET state = 'sent'")
    refused(terminal, "is not what it was")


@pytest.mark.parametrize("name", ["journal.db", "manifest.json"])
def test_half_a_backup_is_refused(terminal: Terminal, backed_up: Path, name: str) -> None:
    (backed_up / name).unlink()
    refused(terminal, str(backed_up))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("journal.db", "PRAGMA user_version = 99"),
        ("store.db", "UPDATE alembic_version SET version_num = '9999'"),
    ],
)
def test_a_backup_of_a_newer_schema_is_refused(
    terminal: Terminal, backed_up: Path, name: str, change: str
) -> None:
    with closing(apsw.Connection(str(backed_up / name))) as db:
        db.execute(change)
    refused(terminal, "newer schema", "0.1.0")


def test_a_backup_of_a_newer_form_is_refused(terminal: Terminal, backed_up: Path) -> None:
    manifest = backed_up / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))
    refused(terminal, "newer release")


def test_nothing_is_restored_under_a_running_watcher(terminal: Terminal, backed_up: Path) -> None:
    with only_instance(terminal.folder / "data"):
        refused(terminal, "is using this folder")


def test_nothing_is_restored_under_another_program_that_has_a_file_open(
    terminal: Terminal, backed_up: Path
) -> None:
    with closing(apsw.Connection(str(terminal.folder / "data/store.db"))) as shell:
        shell.execute("SELECT * FROM cursors").fetchall()
        refused(terminal, "another program has", "store.db")


def test_nothing_is_restored_under_another_program_that_writes(terminal: Terminal, backed_up: Path) -> None:
    writer = """
import apsw, sys
db = apsw.Connection("data/store.db")
db.pragma("locking_mode", "exclusive")
db.execute("BEGIN EXCLUSIVE; UPDATE cursors SET at = at; COMMIT")
print("ready", flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", writer]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=terminal.folder) as shell:
        assert shell.stdout
        assert shell.stdin
        shell.stdout.readline()
        result = terminal.run("restore", backed_up, "--yes")
        shell.communicate(timeout=PATIENCE)
    assert result.exit_code == 2, result.output
    assert "another program has" in result.stderr
    assert not list((terminal.folder / "data").glob("before-restore-*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write in somebody else's folder")
def test_root_does_not_leave_files_that_the_watcher_cannot_open(terminal: Terminal, backed_up: Path) -> None:
    os.chown(terminal.folder / "data", 65534, 65534)
    refused(terminal, "belongs to user 65534")


def test_nobody_is_asked_where_nobody_is(terminal: Terminal, backed_up: Path) -> None:
    result = terminal.run("restore", backed_up, "--data-dir", "new")
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert not (terminal.folder / "new").exists()


def test_a_folder_of_backups_is_no_backup_but_names_the_newest(terminal: Terminal, backed_up: Path) -> None:
    result = terminal.run("restore", "kept", "--yes")
    assert result.exit_code == 2
    assert backed_up.name in result.stderr


def test_the_second_of_two_restores_within_a_second_keeps_what_the_first_moved_aside(tmp_path: Path) -> None:
    fill(tmp_path / "data", 5)
    backup = take(config_of(tmp_path / "data"), tmp_path / "kept", clock=CLOCK)
    for _ in range(3):
        restore(config_of(tmp_path / "data"), read_backup(backup.path), clock=CLOCK)
    assert len(list((tmp_path / "data").glob("before-restore-*"))) == 3
    assert store_facts(tmp_path / "data/store.db").unsent == 1


def test_an_interrupted_restore_is_not_backed_up(tmp_path: Path) -> None:
    fill(tmp_path / "data", 5)
    (tmp_path / "data/restoring.json").write_text('{"aside": "before", "files": []}')
    with pytest.raises(ConfigError, match="interrupted"):
        take(config_of(tmp_path / "data"), tmp_path / "kept", clock=CLOCK)


def test_a_backup_without_the_store_does_not_fit_a_configuration_with_a_file(tmp_path: Path) -> None:
    fill(tmp_path / "data", 5)
    backup = take(config_of(tmp_path / "data"), tmp_path / "kept", clock=CLOCK)
    elsewhere = msgspec.structs.replace(backup, manifest=msgspec.structs.replace(backup.manifest, store=None))
    with pytest.raises(ConfigError, match="database elsewhere"):
        restore(config_of(tmp_path / "new"), elsewhere, clock=CLOCK)


def test_with_postgresql_the_journal_is_backed_up_and_the_dump_is_asked_for(terminal: Terminal) -> None:
    fill(terminal.folder / "data", 5)
    terminal.write("cryptowatcher.toml", '[store]\nkind = "postgres"\nurl_variable = "DATABASE"\n')
    result = terminal.run("backup", "kept")
    assert result.exit_code == 0, result.output
    assert "pg_dump" in result.stderr
    assert {each.name for each in the_backup(terminal.folder / "kept").iterdir()} == {
        "journal.db",
        "cryptowatcher.toml",
        "manifest.json",
    }
