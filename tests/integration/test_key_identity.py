"""A start beside another process that writes the key store is a start, and no older store."""

from collections.abc import Callable
from pathlib import Path

from cypher.clock import SystemClock
from cypher.config import Secret
from cypher.crypto.keyring import Purpose
from cypher.crypto.keystore import DirectoryKeyStore, StoredRing
from cypher.crypto.rotation import rotate
from cypher.maintenance.key_identity import open_key_ring
from tests.conftest import MASTER_PASSWORD
from tests.factories import as_owner


class OvertakenStore(DirectoryKeyStore):
    """A store that another process writes right after it was read here, and before the database is asked."""

    def __init__(self, path: Path, overtake: Callable[[], None]) -> None:
        super().__init__(path)
        self._overtake = overtake
        self._reads = 0

    def read(self) -> StoredRing | None:
        found = super().read()
        self._reads += 1
        if self._reads == 2:  # once to see whether there is one, once to open it
            self._overtake()
        return found


async def test_a_store_that_was_written_since_it_was_read_is_looked_at_again(
    db, ring, tmp_path: Path, postgres_config
) -> None:
    password, clock = Secret(MASTER_PASSWORD), SystemClock()
    first = await open_key_ring(db, DirectoryKeyStore(tmp_path / "keys"), password, clock, may_create=True)

    def overtake() -> None:
        rotate(first, Purpose.CACHE)
        as_owner(postgres_config, "UPDATE key_store_identity SET generation = 2")

    second = await open_key_ring(db, OvertakenStore(tmp_path / "keys", overtake), password, clock, may_create=True)
    assert second.generation == first.generation == 2
