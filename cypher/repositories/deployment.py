"""What a database knows of the key store it belongs to. It opens nothing, so it can be asked before there are keys."""

from dataclasses import dataclass
from uuid import UUID

from cypher import sqlfiles
from cypher.postgres import Executor
from cypher.repositories.backups import BackupRepository
from cypher.repositories.sealed_columns import SealedColumnsRepository

sql = sqlfiles.load("deployment")
migrations_sql = sqlfiles.load("migrations")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The key store that a database belongs to, and the newest state of it that was seen."""

    store_id: UUID
    generation: int


class DeploymentRepository:
    """`key_store_identity`, `deployment` and `data_keys`."""

    def __init__(self, run: Executor) -> None:
        self._run = run

    async def get_identity(self) -> Identity | None:
        row = await self._run.one(sql.get_identity)
        return Identity(store_id=row["store_id"], generation=row["generation"]) if row else None

    async def insert_identity(self, identity: Identity) -> bool:
        """Write the identity of a database that has none; False when it has one."""
        return await self._run.execrows(sql.insert_identity, identity.store_id, identity.generation) == 1

    async def set_generation(self, generation: int) -> bool:
        """Note a newer state of the store; False when it is not newer."""
        return await self._run.execrows(sql.set_generation, generation) == 1

    async def get_epoch(self) -> str | None:
        found = await self._run.value(sql.get_epoch)
        return found if isinstance(found, str) else None

    async def insert_epoch(self, epoch: str) -> bool:
        return await self._run.execrows(sql.insert_epoch, epoch) == 1

    async def set_epoch(self, epoch: str) -> None:
        """Begin another epoch; only the schema's owner may."""
        await self._run.execrows(sql.set_epoch, epoch)

    async def has_sealed_rows(self) -> bool:
        """Tell whether anything here was sealed by some key store."""
        return bool(await self._run.value(sql.has_sealed_rows))

    async def list_migrations(self) -> frozenset[str]:
        """Return the migrations that were applied here."""
        return frozenset(row["migration_id"] for row in await self._run.many(migrations_sql.list_applied))

    async def list_data_keys(self) -> list[str]:
        """Return the ids of the data keys that have sealed rows here."""
        return [row["key_id"] for row in await self._run.many(sql.list_data_keys)]

    async def insert_data_key(self, key_id: str) -> bool:
        """Note a data key before it seals; False when it was noted before."""
        return await self._run.execrows(sql.insert_data_key, key_id) == 1

    async def reserve_operations(self, key_id: str, operations: int, most: int | None) -> bool:
        """Count uses of a data key beforehand; False, and nothing is counted, beyond `most` or for a retired key."""
        return await self._run.execrows(sql.reserve_operations, key_id, operations, most) == 1

    async def hold_data_key(self, key_id: str) -> bool:
        """Keep a data key from being taken from sealing, to the end of the transaction.

        False when it was already, or was not noted yet.
        """
        return bool(await self._run.value(sql.hold_data_key, key_id))

    async def retire_key(self, key_id: str) -> None:
        """Take a data key from sealing for good."""
        await self._run.execrows(sql.retire_key, key_id)

    async def share_names(self) -> tuple[bool, int]:
        """Hold names as they are to the end of the transaction; returns whether that was given, and the generation
        of the key store that is written down here."""
        row = await self._run.one(sql.share_names)
        return (row["held"], row["generation"]) if row else (False, 0)

    async def wait_for_names(self) -> None:
        """Wait until everybody who is giving somebody a name has come to an end."""
        await self._run.exec(sql.wait_for_names)

    async def try_reencryption(self) -> bool:
        """Become the one that re-encrypts, to the end of the transaction, which may do nothing else for long."""
        await self._run.exec(sql.stay_idle)
        return bool(await self._run.value(sql.try_reencryption))

    async def try_key_entries(self) -> bool:
        """Take the lock of the one who completes the entries of keys; held to the end of the transaction."""
        return bool(await self._run.value(sql.try_key_entries))

    async def try_asked_reencryption(self) -> bool:
        """Become the one that re-encrypts because it was asked to, likewise."""
        await self._run.exec(sql.stay_idle)
        return bool(await self._run.value(sql.try_asked_reencryption))

    async def is_reencrypting(self) -> bool:
        """Tell whether one of these two is at it, on whichever instance."""
        return bool(await self._run.value(sql.is_reencrypting))

    async def list_operations(self) -> dict[str, int]:
        """Return how many uses of each data key were reserved."""
        return {row["key_id"]: row["operations"] for row in await self._run.many(sql.list_operations)}


@dataclass(frozen=True, slots=True)
class DeploymentOnly:
    """The repositories that work without keys."""

    deployment: DeploymentRepository
    sealed_columns: SealedColumnsRepository
    backups: BackupRepository

    @classmethod
    def over(cls, run: Executor) -> "DeploymentOnly":
        return cls(DeploymentRepository(run), SealedColumnsRepository(run), BackupRepository(run))
