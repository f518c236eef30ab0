"""All that is known of the keys: what the ring knows, with what hangs on each in the database."""

from cypher.crypto.keyring import KeyInfo, KeyRing, KeyUse, Purpose, RotationPolicy, State
from cypher.postgres import Database
from cypher.repositories import Repositories

#: Keys of which the database can tell whether something hangs on them.
COUNTED_ROWS = frozenset({Purpose.DATA, Purpose.OPAQUE, Purpose.AUDIT_DATA, Purpose.AUDIT_MAC, Purpose.AUDIT})


async def key_status(db: Database[Repositories], ring: KeyRing, policy: RotationPolicy) -> tuple[KeyInfo, ...]:
    """Return every key with its operations, the rows that need it and when the next one is due.

    Reads whole tables: give it a database whose statements may take their time.
    """
    async with db.connection() as repos:
        operations = await repos.deployment.list_operations()
        rows = await repos.sealed_columns.count_rows()
    uses = {}
    for info in ring.get_key_info():
        counted = info.purpose in COUNTED_ROWS and info.state is not State.DESTROYED
        uses[info.id] = KeyUse(
            operations=operations.get(info.id, 0) if info.purpose is Purpose.DATA else None,
            rows=sum(rows.get(info.id, {}).values()) if counted or info.id in rows else None,
        )
    return ring.get_key_info(uses, policy)
