"""A secret for each person, without which nobody opens what the trail says of them. Erasing a person is deleting it."""

import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from cypher import sqlfiles
from cypher.clock import new_bytes
from cypher.crypto.codec import Cell, FieldCodec, Sealed
from cypher.errors import FieldDoesNotOpen
from cypher.postgres import Executor

sql = sqlfiles.load("audit_subjects")
logger = logging.getLogger("cypher.repositories")

SECRET = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSecret:
    """A person's secret, and a moment by the server's clock before it was read."""

    secret: bytes = field(repr=False)  #: 32 bytes
    found_at: datetime


class AuditSubjectRepository:
    """The table `audit_subjects`."""

    def __init__(self, run: Executor, codec: FieldCodec) -> None:
        self._run = run
        self._codec = codec

    async def find_secrets(self, user_ids: Collection[UUID]) -> dict[UUID, bytes]:
        """Return the secrets (32 bytes) of these people, without those who were erased.

        One that does not open is left out as well: it must keep neither others from theirs nor a session from ending.
        """
        return {user_id: found.secret for user_id, found in (await self.find_secrets_now(user_ids)).items()}

    async def find_secrets_now(self, user_ids: Collection[UUID]) -> dict[UUID, FoundSecret]:
        """Return the same secrets, each with the moment."""
        secrets = {}
        for row in await self._run.many(sql.find_secrets, list(user_ids)) if user_ids else ():
            try:
                secret = await self._codec.open(Sealed(row["secret"], row["secret_key_id"]), _cell(row["user_id"]))
                secrets[row["user_id"]] = FoundSecret(secret=secret, found_at=row["found_at"])
            except FieldDoesNotOpen as failure:
                logger.error("%s does not open: what the trail says of this person opens for nobody", failure.where)
        return secrets

    async def make_secrets(self, user_ids: Collection[UUID]) -> dict[UUID, bytes]:
        """Return a secret for each of these people, made where there is none yet.

        Of somebody who is not there (any more), or whose secret does not open, it is nowhere else: what is sealed
        with it opens for nobody.
        """
        found = await self.find_secrets(user_ids)
        missing = set(user_ids) - found.keys()
        if not missing:
            return found
        for user_id in sorted(missing):  # in one order, or two instances could wait for each other
            sealed = await self._codec.seal(new_bytes(SECRET), _cell(user_id))
            await self._run.execrows(sql.insert_secret, user_id, sealed.ciphertext, sealed.key_id)
        # Read back: another transaction may have been faster.
        return {user_id: new_bytes(SECRET) for user_id in missing} | found | await self.find_secrets(missing)

    async def erase(self, user_id: UUID) -> bool:
        """Make all that the trail says of a person unreadable, for good and for everybody; False without a secret."""
        return await self._run.execrows(sql.erase, user_id) == 1


def _cell(user_id: UUID) -> Cell:
    return Cell("audit_subjects", "secret", user_id)
