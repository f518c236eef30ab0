"""A sweep of re-encryption, beside the same decrypting, encrypting and updating by hand, in the same batches."""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import asyncpg
from cryptography.fernet import Fernet

from bench.bare import bare_connection
from bench.harness import Scenario, Target
from bench.people import login_of
from cypher.app import Resources, reencryption
from cypher.clock import new_bytes, new_id
from cypher.crypto.codec import Cell
from cypher.crypto.keyring import Key, Purpose
from cypher.crypto.rotation import rotate
from cypher.maintenance.reencryption import BATCH
from cypher.repositories import Repositories
from cypher.repositories.refresh_tokens import TokenMetadata

VALUES = 5000
#: Values of one transaction: those before it in the same one have left versions of a row that each further one visits.
TOGETHER = 500
MOST = Target(ratio=1 / 0.8)
DAY = timedelta(days=1)
METADATA = TokenMetadata(ip_address="127.0.0.1", user_agent="Mozilla/5.0 (X11; Linux x86_64) bench")


async def scenarios(open_: Resources, *, values: int = VALUES) -> AsyncIterator[Scenario]:
    """Yield the scenario over rows of one session, which are gone afterwards."""
    old = open_.ring.primary(Purpose.DATA)
    user_id = await _insert_rows(open_, values)
    rotate(open_.ring, Purpose.DATA)
    new = open_.ring.primary(Purpose.DATA)
    async with bare_connection(open_.config.postgres) as connection:

        async def back() -> None:
            await _move_by_hand(connection, new, old)

        locked: list[float] = []

        async def sweep() -> None:
            done = await reencryption(open_, None).run()
            assert done.moved >= values
            locked.append(done.locked_seconds)

        async def by_hand() -> None:
            await _move_by_hand(connection, old, new)

        try:
            await sweep()
            yield Scenario(
                name=f"re-encrypt {values:,} values",
                prepare=back,
                work=sweep,
                floor=by_hand,
                floor_name="the same by hand",
                size=values,
                target=MOST,
                rounds=3,
            )
            print(f"The longest that a batch of it has held its locks: {max(locked) * 1000:.0f} ms")
        finally:
            await reencryption(open_, None).run()
            await connection.execute("DELETE FROM users WHERE id = $1", user_id)


async def _insert_rows(open_: Resources, values: int) -> UUID:
    user_id, credential_id = new_id(open_.clock), new_bytes(16)
    async with open_.upkeep.transaction() as repos:
        await repos.users.insert_user(
            user_id=user_id,
            username=f"bench-{new_bytes(6).hex()}",
            opaque_record=bytes(192),
            opaque_setup_id=open_.ring.primary(Purpose.OPAQUE).id,
            opaque_credential_id=credential_id,
        )
        token_hash = new_bytes(32)
        await repos.logins.end_login(login_of(user_id, new_id(open_.clock), credential_id, token_hash))
    for start in range(1, values, TOGETHER):
        async with open_.upkeep.transaction() as repos:
            for _ in range(min(TOGETHER, values - start)):
                token_hash = await _rotate(repos, token_hash)
    return user_id


async def _rotate(repos: Repositories, token_hash: bytes) -> bytes:
    """Exchange a token, which leaves its metadata; returns the hash of the next."""
    next_hash = new_bytes(32)
    await repos.refresh_tokens.rotate(
        old_hash=token_hash, new_hash=next_hash, new_token="", grace=DAY, idle=DAY, metadata=METADATA
    )
    return next_hash


async def _move_by_hand(connection: asyncpg.Connection, old: Key, new: Key) -> None:
    """Move the metadata of every token that is under one key to another, with nothing between it and its libraries."""
    after = b""
    while True:
        async with connection.transaction():
            rows = await connection.fetch(
                "SELECT token_hash, metadata FROM refresh_tokens"
                " WHERE metadata_key_id = $1 AND token_hash > $2 ORDER BY token_hash LIMIT $3",
                old.id,
                after,
                BATCH,
            )
            moved = []
            for row in rows:
                info = Cell("refresh_tokens", "metadata", row["token_hash"]).info()
                plaintext = _fernet(old, info).decrypt(row["metadata"])
                moved.append(_fernet(new, info).encrypt(plaintext).decode())
            await connection.execute(
                "UPDATE refresh_tokens AS t SET metadata = n.new, metadata_key_id = $1"
                " FROM unnest($2::bytea[], $3::text[], $4::text[]) AS n (row_id, old, new)"
                " WHERE t.token_hash = n.row_id AND t.metadata = n.old",
                new.id,
                [row["token_hash"] for row in rows],
                [row["metadata"] for row in rows],
                moved,
            )
        if len(rows) < BATCH:
            return
        after = rows[-1]["token_hash"]


def sealed_by_hand(key: Key, value: bytes, cell: Cell) -> str:
    """Seal a value for its cell with nothing between it and the library."""
    return _fernet(key, cell.info()).encrypt(value).decode()


def _fernet(key: Key, info: bytes) -> Fernet:
    # HKDF-Expand for one block (RFC 5869, section 2.3) is one HMAC.
    return Fernet(base64.urlsafe_b64encode(hmac.digest(key.secret, info + b"\x01", hashlib.sha256)))
