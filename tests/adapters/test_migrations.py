"""Migrations: killed anywhere, the next start finishes them and no row is lost; and the release before goes on.

Most of these take two steps that only tests know, as a later release might bring them: a column with a back-fill,
a table, an index, and a rule for new rows. The release before is real: it comes out of the history.
"""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import subprocess
import sys
import tarfile
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import apsw
import pytest

from cryptowatcher.adapters.runner import Inline
from cryptowatcher.adapters.stores import migrations
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import Delivery, hold, silence
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.ports import Cursor, Step, Store, Tx
from cryptowatcher.testing.contracts.store import StoreContract
from cryptowatcher.testing.contracts.store_case import sample_alert, sample_candle, sample_delivery, sample_price

ROOT = Path(__file__).parents[2]
STEPS = {
    "notes": """
        op.add_column("alerts", sa.Column("note", sa.Text(), nullable=False, server_default=""))
        op.execute("UPDATE alerts SET note = 'before' WHERE version = 1")
        op.create_table("notes", sa.Column("id", sa.Text(), primary_key=True), sqlite_with_rowid=False)
        op.execute("INSERT INTO notes SELECT id FROM alerts")
    """,
    "index": """
        op.create_index("alerts_rule", "alerts", ["rule", "id"])
        op.execute("UPDATE deliveries SET receipt = receipt || ''")
    """,
}
AHEAD = f"{int(migrations.HEAD) + len(STEPS):04}"
ALERTS = [sample_alert(number) for number in range(300)]

KILLER = """
import asyncio, os, shutil, signal, sys
from pathlib import Path
import alembic.runtime.environment, alembic.script, apsw  # once, not in each of a hundred processes
from cryptowatcher.adapters.runner import Inline
from cryptowatcher.adapters.stores import migrations
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from tests.chaos.dying_disk import DyingDisk, Plan, put
old, folder, steps, head, how, stride = sys.argv[1:]
migrations.FOLDER, migrations.HEAD = Path(steps), head  # a later release
plan = Path(folder) / "plan"


def start(store, die_at):
    '''A process that opens the store, killed at that statement, write or sync; how it ended.'''
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    seen = 0

    def count(event):
        nonlocal seen
        seen += 1
        if seen == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    if die_at and how == "statement":
        apsw.connection_hooks.append(lambda db: db.trace_v2(apsw.SQLITE_TRACE_STMT, count))
    elif die_at:
        put(plan, Plan(calls=(how,), skip=die_at - 1, how="kill"))
        disk = DyingDisk(plan)

    async def main():
        async with open_sqlite_store(store, inline=Inline()) as opened:
            await opened.run(lambda tx: tx.alert_count())

    asyncio.run(main())
    os._exit(0)


for number in range(1, 10_000, int(stride)):
    store = Path(folder) / f"{number}.db"
    if Path(old).exists():
        shutil.copy(old, store)
    code = start(store, number)
    assert start(store, 0) == 0
    print(number)
    if code == 0:
        break
    assert code == -signal.SIGKILL, code
"""
"""For each n: a copy of the old store, a process that opens it and is killed at its n-th statement, write or sync,
and one more that opens it in peace; until one lives to the end. Prints each n."""

EVERYWHERE = [
    pytest.param("statement", 4, 4, id="some statements"),
    pytest.param("write", 61, 2, id="some writes"),
    pytest.param("statement", 1, 20, id="every statement", marks=pytest.mark.chaos),
    pytest.param("write", 1, 20, id="every write", marks=pytest.mark.chaos),
    pytest.param("sync", 1, 2, id="every sync", marks=pytest.mark.chaos),
]
"""Where to kill, every how many of them, and how often that is at least."""


UPGRADE = """
import asyncio, sys
from pathlib import Path
from cryptowatcher.adapters.stores import migrations
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
store, folder, migrations.HEAD = sys.argv[1:]
migrations.FOLDER = Path(folder)

async def main():
    async with open_sqlite_store(Path(store)):
        pass

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def ahead(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a later release's steps."""
    folder = tmp_path_factory.mktemp("release") / "ahead"
    shutil.copytree(migrations.FOLDER / "versions", folder / "versions")
    (folder / "env.py").write_text("")
    before = migrations.HEAD
    for name, body in STEPS.items():
        number = f"{int(before) + 1:04}"
        (folder / "versions" / f"{number}_{name}.py").write_text(
            f'import sqlalchemy as sa\nfrom alembic import op\n\nrevision = "{number}"\ndown_revision = "{before}"'
            f"\n\n\ndef upgrade() -> None:\n{body.replace('        ', '    ')}"
        )
        before = number
    assert before == AHEAD
    return folder


@pytest.fixture(scope="module")
def newer_store(tmp_path_factory: pytest.TempPathFactory, ahead: Path) -> Path:
    """Made by this release, brought up to date by a later one."""
    path = tmp_path_factory.mktemp("newer") / "store.db"
    migrate_empty(path)
    run([sys.executable, "-c", UPGRADE, str(path), str(ahead), AHEAD])
    assert schema(path)[-1] == (AHEAD,)
    return path


def migrate_empty(path: Path) -> None:
    async def main() -> None:
        async with open_sqlite_store(path, inline=Inline()):
            pass

    asyncio.run(main())


def run(command: list[str], *, cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make_store(path: Path) -> None:
    """As this release makes it, with rows."""

    async def main() -> None:
        async with open_sqlite_store(path, inline=Inline()) as store:
            await store.run(fill)

    asyncio.run(main())


def fill(tx: Tx) -> None:
    step = Step(
        cursor=Cursor("j1", 7, 7),
        alerts=ALERTS,
        deliveries=[sample_delivery(alert) for alert in ALERTS],
        candles=[sample_candle("a/usd", 60_000, 60_000 * start) for start in range(50)],
        prices=[sample_price("a/usd", 1.0)],
    )
    tx.commit_step(step, epoch=tx.new_epoch("watch"), before=None)
    tx.save_checkpoint(Cursor("j1", 7, 7), 1, b"state" * 1000)
    tx.save_budget("coingecko", b"used")


def check_rows(path: Path) -> None:
    """All of it is there, by this release's own words, and the store goes on."""

    def read(tx: Tx) -> tuple[list[Alert], list[Delivery], Cursor | None, int, object, bytes | None]:
        candles = tx.candles("a/usd", 60_000, start=0, end=2**60, limit=99)
        epoch, cursor = tx.new_epoch("watch"), tx.cursor()
        more = sample_alert(9_999)
        tx.commit_step(Step(cursor=Cursor("j1", 8, 8), alerts=[more]), epoch=epoch, before=cursor)
        return (
            tx.alerts("local", limit=999),
            tx.deliveries("local", limit=999),
            cursor,
            len(candles),
            tx.checkpoint("j1", 1, 7),
            tx.budget("coingecko"),
        )

    async def main() -> None:
        async with open_sqlite_store(path, inline=Inline()) as store:
            alerts, deliveries, *rest = await store.run(read)
            assert alerts[1:] == ALERTS[::-1]
            assert deliveries == [sample_delivery(alert) for alert in ALERTS[::-1]]
            assert rest == [Cursor("j1", 7, 7), 50, (Cursor("j1", 7, 7), b"state" * 1000), b"used"]

    asyncio.run(main())


def schema(path: Path) -> list[tuple[Any, ...]]:
    """What stands in the file besides rows, and its revision."""
    db = apsw.Connection(str(path))
    assert db.pragma("integrity_check") == "ok"
    found = db.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").fetchall()
    version = db.execute("SELECT version_num FROM alembic_version").fetchall()
    db.close()
    return [*found, *version]


def kill_everywhere(old: Path, folder: Path, *, steps: Path, head: str, how: str, stride: int) -> list[Path]:
    """The stores that came of it, the last one without a kill."""
    folder.mkdir()
    command = [sys.executable, "-c", KILLER, str(old), str(folder), str(steps), head, how, str(stride)]
    return [folder / f"{number}.db" for number in run(command).split()]


@pytest.mark.parametrize(("how", "stride", "least"), EVERYWHERE)
def test_killed_anywhere_in_a_migration_the_next_start_finishes_it_with_all_rows(
    tmp_path: Path, ahead: Path, how: str, stride: int, least: int
) -> None:
    old = tmp_path / "old.db"
    make_store(old)
    *killed, whole = kill_everywhere(old, tmp_path / how, steps=ahead, head=AHEAD, how=how, stride=stride)
    wanted = schema(whole)
    assert wanted[-1] == (AHEAD,)
    assert {("index", "alerts_rule"), ("table", "notes")} <= {row[:2] for row in wanted[:-1]}
    assert len(killed) >= least
    for store in killed:
        assert schema(store) == wanted
        check_rows(store)


@pytest.mark.parametrize(("how", "stride", "least"), EVERYWHERE)
def test_killed_anywhere_in_the_first_start_the_next_one_makes_the_store(
    tmp_path: Path, how: str, stride: int, least: int
) -> None:
    nothing, steps = tmp_path / "none.db", migrations.FOLDER
    stores = kill_everywhere(nothing, tmp_path / how, steps=steps, head=migrations.HEAD, how=how, stride=stride)
    assert len(stores) > least
    wanted = schema(stores[-1])
    assert [schema(store) for store in stores] == [wanted] * len(stores)


def test_a_step_that_does_not_get_there_is_an_error_and_changes_nothing(tmp_path: Path, ahead: Path) -> None:
    """Half a migration is worse than none."""
    old = tmp_path / "old.db"
    make_store(old)
    before = schema(old)
    steps = tmp_path / "broken"
    shutil.copytree(ahead, steps)
    last = steps / "versions" / f"{AHEAD}_index.py"
    last.write_text(last.read_text() + '    op.execute("SELECT no_such_function()")\n')
    with pytest.raises(AssertionError, match="no_such_function"):
        run([sys.executable, "-c", UPGRADE, str(old), str(steps), AHEAD])
    assert schema(old) == before
    check_rows(old)


class TestThisReleaseOnANewerStore(StoreContract):
    """What a later release added is no hindrance: go back a release, and everything works."""

    @pytest.fixture(autouse=True)
    def _newer(self, tmp_path: Path, newer_store: Path) -> None:
        self.path = tmp_path / "store.db"
        shutil.copy(newer_store, self.path)

    def opening(self) -> AbstractAsyncContextManager[Store]:
        return open_sqlite_store(self.path, inline=Inline())

    def test_two_that_open_at_once_make_one_schema(self) -> None:
        """It is made already."""


OLD_TEST = """
import asyncio
import shutil
from pathlib import Path
import pytest
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.testing.contracts.store import StoreContract


class TestOnTodaysStore(StoreContract):
    @pytest.fixture(autouse=True)
    def _store(self, tmp_path):
        self.path = tmp_path / "store.db"
        shutil.copy({store!r}, self.path)

    def opening(self):
        return open_sqlite_store(self.path)


def test_todays_rows():
    async def main():
        async with open_sqlite_store(Path({rows!r})) as store:
            (rule,) = await store.run(lambda tx: tx.rules("local"))
            assert (rule.spec.name, rule.spec.cooldown) == ("drops", "1h")
            claimed = await store.run(lambda tx: tx.claim(now=5_000, holder="old", lease=9, limit=9))
            assert sorted(delivery.due_at for delivery, _ in claimed) == [100, 4_000]
            await store.run(lambda tx: tx.settle([each for each, _ in claimed]))
            assert len(await store.run(lambda tx: tx.deliveries("local", limit=9))) == 3

    asyncio.run(main())
"""


def test_the_release_before_the_newest_step_runs_on_todays_store(tmp_path: Path) -> None:
    """Its own contract, its own code, on a store that this code made; and it sends what this code left."""
    old = tmp_path / "old"
    old.mkdir()
    with tarfile.open(fileobj=io.BytesIO(code_before_the_newest_step())) as tree:
        tree.extractall(old, filter="data")
    migrate_empty(tmp_path / "store.db")
    leave_rows(tmp_path / "rows.db")
    stores = {"store": str(tmp_path / "store.db"), "rows": str(tmp_path / "rows.db")}
    (old / "test_old.py").write_text(OLD_TEST.format(**stores))
    environment = os.environ | {"PYTHONPATH": str(old / "src")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "test_old.py"]
    done = subprocess.run(
        command, cwd=old, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def leave_rows(path: Path) -> None:
    """A rule that says nothing new, and three deliveries: a plain, a held and a snoozed one."""

    def fill(tx: Tx) -> None:
        tx.save_rule(
            "local", RuleSpec(name="drops", pairs=("all",), when="price > 1", cooldown="1h"), head=0, now=1
        )
        deliveries = [sample_delivery(alert) for alert in ALERTS[:3]]
        tx.commit_step(
            Step(cursor=Cursor("j1", 7, 7), alerts=ALERTS[:3], deliveries=deliveries),
            epoch=tx.new_epoch("watch"),
            before=None,
        )
        _, second, third = (each for each, _ in tx.claim(now=200, holder="now", lease=1, limit=9))
        held = hold(second, until=4_000, why="active hours 08:00-22:00", now=200)
        tx.settle([held, silence(third, "snoozed", now=200)])

    async def main() -> None:
        async with open_sqlite_store(path, inline=Inline()) as store:
            await store.run(fill)

    asyncio.run(main())


def code_before_the_newest_step() -> bytes:
    """`src` as a tar, as it was before the newest step came; what is committed, while that step is not."""
    (newest,) = (migrations.FOLDER / "versions").glob(f"{migrations.HEAD}_*.py")
    try:
        came = git("log", "--diff-filter=A", "--format=%H", "--", str(newest.relative_to(ROOT))).decode().split()
        return git("archive", f"{came[-1]}^" if came else "HEAD", "src")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git and the history before the newest migration")


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True, timeout=60).stdout
