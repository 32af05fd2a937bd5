"""The PEP 249 face of apsw."""

from __future__ import annotations

from collections.abc import Iterator

import apsw
import pytest
import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from cryptowatcher.adapters import apsw_dbapi as face

NAMED_BY_PEP_249 = [
    face.DatabaseError,
    face.DataError,
    face.OperationalError,
    face.IntegrityError,
    face.InternalError,
    face.ProgrammingError,
    face.NotSupportedError,
]


@pytest.fixture
def db() -> Iterator[face.Connection]:
    connection = face.connect(":memory:")
    connection.cursor().execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b)")
    yield connection
    connection.close()


def test_every_error_of_apsw_has_a_name_in_pep_249() -> None:
    theirs = {
        each
        for each in vars(apsw).values()
        if isinstance(each, type) and issubclass(each, apsw.Error) and each is not apsw.Error
    }
    assert theirs == set(face.ERRORS)
    assert all(issubclass(ours, face.Error) for ours in face.ERRORS.values())
    assert all(issubclass(each, face.DatabaseError) for each in NAMED_BY_PEP_249)
    assert issubclass(face.InterfaceError, face.Error)


def test_errors_come_by_their_names_with_their_cause(db: face.Connection) -> None:
    cursor = db.cursor()
    cursor.execute("INSERT INTO t VALUES (1, 1)")
    with pytest.raises(face.IntegrityError) as caught:
        cursor.execute("INSERT INTO t VALUES (1, 1)")
    assert isinstance(caught.value.__cause__, apsw.ConstraintError)
    with pytest.raises(face.OperationalError):
        cursor.execute("SELECT nonsense FROM nowhere")
    with pytest.raises(face.ProgrammingError):
        cursor.execute("SELECT ?", (object(),))
    with pytest.raises(face.ProgrammingError):
        cursor.execute("SELECT ?, ?", (1,))


def test_a_select_without_rows_still_names_its_columns(db: face.Connection) -> None:
    cursor = db.cursor().execute("SELECT a, b FROM t")
    assert cursor.description is not None
    assert [column[0] for column in cursor.description] == ["a", "b"]
    assert cursor.fetchone() is None
    assert cursor.fetchall() == []


def test_statements_without_columns_have_no_description(db: face.Connection) -> None:
    cursor = db.cursor().execute("SELECT a FROM t")
    cursor.execute("INSERT INTO t VALUES (1, 2)")
    assert cursor.description is None
    cursor.execute("SELECT a FROM t")
    cursor.executemany("INSERT INTO t VALUES (?, ?)", [(2, 2)])
    assert cursor.description is None


def test_rows_are_counted(db: face.Connection) -> None:
    cursor = db.cursor()
    assert cursor.executemany("INSERT INTO t VALUES (?, ?)", [(n, 0) for n in range(5)]).rowcount == 5
    assert cursor.execute("UPDATE t SET b = 1 WHERE a > 2").rowcount == 2
    assert cursor.execute("UPDATE t SET b = 1 WHERE a > 99").rowcount == 0
    assert cursor.execute("DELETE FROM t WHERE a = 0").rowcount == 1
    assert cursor.execute("SELECT * FROM t").rowcount == -1
    assert cursor.execute("INSERT INTO t VALUES (77, 0)").lastrowid == 77


def test_rows_are_fetched_one_by_one_in_parts_and_all(db: face.Connection) -> None:
    cursor = db.cursor()
    cursor.executemany("INSERT INTO t VALUES (?, ?)", [(n, str(n)) for n in range(6)])
    cursor.execute("SELECT a FROM t ORDER BY a")
    assert cursor.fetchone() == (0,)
    assert cursor.fetchmany(2) == [(1,), (2,)]
    assert cursor.fetchmany() == [(3,)]
    assert next(iter(cursor)) == (4,)
    assert cursor.fetchall() == [(5,)]
    assert cursor.fetchmany(3) == []


def test_commit_and_rollback_outside_a_transaction_do_nothing(db: face.Connection) -> None:
    db.commit()
    db.rollback()
    cursor = db.cursor()
    cursor.execute("BEGIN")
    cursor.execute("INSERT INTO t VALUES (1, 1)")
    db.rollback()
    cursor.execute("BEGIN")
    cursor.execute("INSERT INTO t VALUES (2, 2)")
    db.commit()
    assert cursor.execute("SELECT a FROM t").fetchall() == [(2,)]
    assert not db.raw.in_transaction


def test_a_closed_connection_says_so(db: face.Connection) -> None:
    other = face.connect(":memory:")
    other.close()
    with pytest.raises(face.ProgrammingError):
        other.cursor()


def test_sqlalchemy_drives_it() -> None:
    engine = sa.create_engine("sqlite://", module=face, poolclass=StaticPool)
    things = sa.Table(
        "things", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text)
    )
    with engine.begin() as db:
        things.metadata.create_all(db)
        assert db.execute(sa.insert(things).values(name="a")).inserted_primary_key == (1,)
        db.execute(sa.insert(things), [{"name": "b"}, {"name": "bc"}])
        assert db.execute(sa.select(things.c.name).where(things.c.name.regexp_match("^b"))).scalars().all() == [
            "b",
            "bc",
        ]
        assert db.execute(sa.insert(things).values(name="d").returning(things.c.id)).scalar_one() == 4
        assert db.execute(sa.update(things).values(name="e").where(things.c.id > 2)).rowcount == 2
        assert db.execute(sa.select(things).where(things.c.id > 99)).all() == []
        with pytest.raises(sa.exc.IntegrityError):
            db.execute(sa.insert(things).values(id=1))
    engine.dispose()
