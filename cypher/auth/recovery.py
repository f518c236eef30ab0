"""Recovery: a recovery token in the place of the old password. The second factor is still asked for at the next login.

Nobody learns here whether a name exists or a token is good: every start has the same answer, every finish that is
refused the same error.
"""

from datetime import timedelta

import msgspec

from cypher.auth import credentials, usernames
from cypher.auth.audit import Audit, Happening
from cypher.auth.credentials import BegunCredential
from cypher.auth.endings import end_sessions
from cypher.auth.events import Event, Outcome
from cypher.auth.living import LivingSessions
from cypher.auth.opaque import OpaqueServer
from cypher.auth.refresh_tokens import hash_token
from cypher.auth.source import Source
from cypher.auth.types import RegistrationStarted
from cypher.ephemeral.flows import FlowStore
from cypher.errors import FlowExpired
from cypher.postgres import Database
from cypher.repositories import Repositories

KIND = "recovery"


class PendingRecovery(msgspec.Struct, frozen=True, kw_only=True):
    """What waits in Redis between start and finish; `begun` is None where name and token are not those of somebody."""

    username: str
    token_hash: bytes
    begun: BegunCredential | None


class Recovery:
    """Start, then finish once."""

    def __init__(
        self,
        *,
        db: Database[Repositories],
        flows: FlowStore,
        opaque: OpaqueServer,
        audit: Audit,
        living: LivingSessions,
        flow_lifetime: timedelta,
    ) -> None:
        self._db = db
        self._flows = flows
        self._opaque = opaque
        self._audit = audit
        self._living = living
        self._flow_lifetime = flow_lifetime

    async def start(self, username: str, token: str, request: bytes) -> RegistrationStarted:
        """Answer a registration request (32 bytes), whatever name and token are worth. Uses up nothing."""
        name, token_hash = usernames.normalise(username), hash_token(token)
        credential_id = credentials.new_credential_id()
        setup_id, response = self._opaque.respond_to_registration(request, credential_id)
        async with self._db.connection() as repos:
            found = await repos.recovery_tokens.find_credential(token_hash, name)
        begun = credentials.begin(found, credential_id=credential_id, setup_id=setup_id) if found else None
        pending = PendingRecovery(username=name, token_hash=token_hash, begun=begun)
        return await credentials.hand_out(self._flows, KIND, pending, response, self._flow_lifetime)

    async def finish(self, flow_id: str, record: bytes, source: Source) -> None:
        """Store the record (192 bytes), use up the token and end every session.

        Raises FlowExpired for whatever is wrong: flow, name or token; an account that is disabled or locked; a password
        or all sessions that were changed or ended since the start. Raises RedisUnavailable when all is done, but a
        cache may still answer for an ended session for some seconds.
        """
        accepted = self._opaque.accept_record(record)
        pending = await self._flows.take(KIND, flow_id, PendingRecovery)
        if pending is None:
            raise FlowExpired
        try:
            await self._recover(pending, accepted, source)
        except FlowExpired:
            self._record_refusal(pending, source)
            raise

    async def _recover(self, pending: PendingRecovery, record: bytes, source: Source) -> None:
        begun = pending.begun
        if begun is None:
            raise FlowExpired
        async with self._db.transaction() as repos:
            await credentials.require_unchanged(repos, begun)
            if not await repos.recovery_tokens.use_token(pending.token_hash, begun.user_id):
                raise FlowExpired
            await credentials.store(repos, begun, record)
            # What began before must not end after this, with whatever it was begun.
            await repos.users.set_sessions_revoked(begun.user_id)
            ended = await end_sessions(repos, begun.user_id, keep=None, reason="recovered")
            await self._audit.record(repos, Happening(event=Event.RECOVERY_COMPLETED, user_id=begun.user_id), source)
        await self._living.bury(ended.to_bury)

    def _record_refusal(self, pending: PendingRecovery, source: Source) -> None:
        refused = Happening(
            event=Event.RECOVERY_REFUSED,
            outcome=Outcome.FAILURE,
            user_id=pending.begun.user_id if pending.begun else None,
            username=pending.username,
        )
        self._audit.record_failure(refused, source)
