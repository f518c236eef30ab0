from pathlib import Path

import pytest

from cypher.crypto.keyring import KeyRing
from cypher.crypto.keystore import KeyStore
from tests.integration.key_stores.places import DirectoryPlace, Place, PostgresPlace, make_ring


@pytest.fixture(params=["directory", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "directory":
        return DirectoryPlace(tmp_path / "keys")
    return PostgresPlace(request.getfixturevalue("postgres_config"))


@pytest.fixture
def elsewhere(place: Place, request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A second place of the same kind."""
    if isinstance(place, DirectoryPlace):
        return DirectoryPlace(tmp_path / "elsewhere")
    return PostgresPlace(request.getfixturevalue("other_postgres_config"))


@pytest.fixture
def store(place: Place) -> KeyStore:
    return place.store()


@pytest.fixture
def ring(store: KeyStore) -> KeyRing:
    return make_ring(store)
