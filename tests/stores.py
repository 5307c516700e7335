"""Stores for tests: on a real SQLite file, or on the empty PostgreSQL that MIDCOURSE_TEST_POSTGRES names."""

import os
from collections.abc import Iterator

from sqlalchemy import create_engine, text

from midcourse.server.database import parse_url
from midcourse.server.store import Store, open_store

POSTGRES = os.environ.pop("MIDCOURSE_TEST_POSTGRES", None)
"""Taken out of the environment: it is no setting, and midcourse complains of those that it does not know."""


def opened(database: str, url: str) -> Iterator[Store]:
    """An empty store, there while a test runs: on the SQLite file, or on the PostgreSQL of the environment."""
    if database == "postgresql":
        assert POSTGRES
        wipe(POSTGRES)
        url = POSTGRES
    store = open_store(url)
    yield store
    store.close()


def wipe(url: str) -> None:
    engine = create_engine(parse_url(url))
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS traces, trace_reviews, midcourse_meta"))
    engine.dispose()
