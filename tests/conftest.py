"""What every test gets: its own state, and its turn (slow ones come last, however the rest is shuffled)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from databases import Postgres, postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# How long an example takes says what else the machine does, and nothing about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs after pytest-randomly's, and keeps its order within the fast and within the slow tests."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keys and ledger of the person who runs the tests are never touched."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("KINEMARK_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL for all tests; each takes a database of its own."""
    with postgres() as server:
        yield server
