"""Another password for whoever holds a session that was proven lately. The old one is known by that proof."""

from datetime import timedelta
from uuid import UUID

import msgspec

from cypher.auth import credentials
from cypher.auth.audit import Audit, Happening
from cypher.auth.credentials import BegunCredential
from cypher.auth.endings import NOTHING_ENDED, end_sessions
from cypher.auth.events import Event
from cypher.auth.freshness import Freshness
from cypher.auth.living import LivingSessions
from cypher.auth.opaque import OpaqueServer
from cypher.auth.source import Source
from cypher.auth.types import RegistrationStarted, SessionView
from cypher.ephemeral.flows import FlowStore
from cypher.errors import FlowExpired, SessionExpired
from cypher.postgres import Database
from cypher.repositories import Repositories

KIND = "password"


class PendingPassword(msgspec.Struct, frozen=True, kw_only=True):
    """What waits in Redis between start and finish."""

    session_id: UUID
    begun: BegunCredential


class PasswordChange:
    """Start, then finish once."""

    def __init__(
        self,
        *,
        db: Database[Repositories],
        flows: FlowStore,
        opaque: OpaqueServer,
        audit: Audit,
        living: LivingSessions,
        freshness: Freshness,
        flow_lifetime: timedelta,
    ) -> None:
        self._db = db
        self._flows = flows
        self._opaque = opaque
        self._audit = audit
        self._living = living
        self._freshness = freshness
        self._flow_lifetime = flow_lifetime

    async def start(self, session: SessionView, request: bytes) -> RegistrationStarted:
        """Answer a registration request (32 bytes) under the active setup. Needs a fresh proof."""
        async with self._db.transaction() as repos:
            await self._freshness.require(repos, session)
            found = await repos.accounts.get_credential(session.user_id)
        if found is None:
            raise SessionExpired
        credential_id = credentials.new_credential_id()
        setup_id, response = self._opaque.respond_to_registration(request, credential_id)
        begun = credentials.begin(found, credential_id=credential_id, setup_id=setup_id)
        pending = PendingPassword(session_id=session.id, begun=begun)
        return await credentials.hand_out(self._flows, KIND, pending, response, self._flow_lifetime)

    async def finish(
        self, session: SessionView, flow_id: str, record: bytes, *, revoke_others: bool, source: Source
    ) -> None:
        """Store the record (192 bytes). Needs a fresh proof.

        Raises FlowExpired, also for a flow of another session and for one that began before another change of the
        password, a revocation of all sessions, a lock or a disabling. Raises RedisUnavailable when the password is
        changed and the sessions have ended, but a cache may still answer for them for some seconds.
        """
        accepted = self._opaque.accept_record(record)
        # Asked before the flow is taken, so that a refusal leaves it there, and again where it is decided.
        async with self._db.connection() as repos:
            await self._freshness.require(repos, session)
        pending = await self._flows.take(KIND, flow_id, PendingPassword)
        if pending is None or pending.session_id != session.id:
            raise FlowExpired
        async with self._db.transaction() as repos:
            await self._freshness.require(repos, session)
            await credentials.require_unchanged(repos, pending.begun)
            await credentials.store(repos, pending.begun, accepted)
            ended = NOTHING_ENDED
            if revoke_others:
                ended = await end_sessions(repos, session.user_id, keep=session.id, reason="password_changed")
            changed = Happening(
                event=Event.PASSWORD_CHANGED,
                user_id=session.user_id,
                session_id=session.id,
                note=f"other sessions ended: {ended.count}",
            )
            await self._audit.record(repos, changed, source)
        await self._living.bury(ended.to_bury)
