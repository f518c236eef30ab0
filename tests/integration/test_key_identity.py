"""A key store and a database that begin together, beside other processes that write both."""

from pathlib import Path

import pytest

from cypher.clock import SystemClock
from cypher.config import Secret
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.keystore import DirectoryKeyStore
from cypher.crypto.rotation import rotate
from cypher.errors import KeyStoreRefused
from cypher.maintenance.key_identity import open_key_ring
from tests.conftest import MASTER_PASSWORD
from tests.factories import as_owner

CLOCK = SystemClock()


async def test_a_start_beside_a_process_that_makes_a_key_is_not_taken_for_an_older_store(
    db, ring: KeyRing, postgres_config, tmp_path: Path, monkeypatch
) -> None:
    store, password = DirectoryKeyStore(tmp_path / "keys"), Secret(MASTER_PASSWORD)
    await open_key_ring(db, store, password, CLOCK, may_create=True)
    opening = KeyRing.open

    def overtaken(*given: object) -> KeyRing:
        opened = opening(*given)
        made = rotate(ring, Purpose.DATA)
        as_owner(postgres_config, "UPDATE key_store_identity SET generation = %s", ring.generation)
        as_owner(postgres_config, "INSERT INTO data_keys (key_id) VALUES (%s)", made.id)
        return opened

    monkeypatch.setattr(KeyRing, "open", overtaken)
    joined = await open_key_ring(db, store, password, CLOCK, may_create=True)
    assert joined.primary(Purpose.DATA).id == ring.primary(Purpose.DATA).id
    as_owner(postgres_config, "UPDATE key_store_identity SET generation = generation + 1")
    monkeypatch.setattr(KeyRing, "open", opening)
    with pytest.raises(KeyStoreRefused, match="is older"):
        await open_key_ring(db, store, password, CLOCK, may_create=True)
