"""Registration: the server stores an OPAQUE record and never learns anything about the password."""

from datetime import timedelta
from uuid import UUID

import msgspec

from cypher.auth import credentials, usernames
from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event, Outcome
from cypher.auth.naming import hold_names
from cypher.auth.opaque import OpaqueServer
from cypher.auth.source import Source
from cypher.auth.types import RegistrationStarted
from cypher.clock import Clock, new_id
from cypher.crypto.keyring import KeyRing
from cypher.ephemeral.flows import FlowStore
from cypher.errors import FlowExpired, RegistrationClosed, UsernameTaken
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.users import User

KIND = "registration"


class PendingRegistration(msgspec.Struct, frozen=True):
    """What waits in Redis between start and finish."""

    user_id: UUID
    username: str
    credential_id: bytes
    setup_id: str


class Registration:
    """Two steps; the second may be asked again and gives the same answer."""

    def __init__(
        self,
        *,
        db: Database[Repositories],
        flows: FlowStore,
        opaque: OpaqueServer,
        ring: KeyRing,
        audit: Audit,
        clock: Clock,
        is_open: bool,
        flow_lifetime: timedelta,
    ) -> None:
        self._db = db
        self._flows = flows
        self._opaque = opaque
        self._ring = ring
        self._audit = audit
        self._clock = clock
        self._is_open = is_open
        self._flow_lifetime = flow_lifetime

    async def start(self, username: str, request: bytes, source: Source) -> RegistrationStarted:
        """Answer a registration request (32 bytes), whether or not the name is taken.

        The credential identifier is drawn here: evaluated under a stored one, this route would tell anybody who
        asks whether a guessed password is right.
        """
        if not self._is_open:
            raise RegistrationClosed
        name = usernames.normalise(username)
        credential_id = credentials.new_credential_id()
        setup_id, response = self._opaque.respond_to_registration(request, credential_id)
        pending = PendingRegistration(new_id(self._clock), name, credential_id, setup_id)
        return await credentials.hand_out(self._flows, KIND, pending, response, self._flow_lifetime)

    async def finish(self, flow_id: str, record: bytes, source: Source) -> User:
        """Store the record (192 bytes) and return the new user; asked again with the same flow, the same user.

        The flow is read and not consumed, so that a client whose answer was lost may ask again: the id drawn at
        the start makes the second insert do nothing.
        """
        accepted = self._opaque.accept_record(record)
        pending = await self._flows.peek(KIND, flow_id, PendingRegistration)
        if pending is None:
            raise FlowExpired
        user = await self._insert(pending, accepted, source)
        if user is None:
            refused = Happening(
                event=Event.REGISTRATION_REFUSED,
                outcome=Outcome.FAILURE,
                reason=UsernameTaken.code,
                username=pending.username,
            )
            self._audit.record_failure(refused, source)
            raise UsernameTaken
        return user

    async def _insert(self, pending: PendingRegistration, record: bytes, source: Source) -> User | None:
        async with self._db.transaction() as repos:
            await hold_names(repos, self._ring)
            user = await repos.users.insert_user(
                user_id=pending.user_id,
                username=pending.username,
                opaque_record=record,
                opaque_setup_id=pending.setup_id,
                opaque_credential_id=pending.credential_id,
            )
            if user is None:
                return await repos.users.get_user(pending.user_id)
            completed = Happening(event=Event.REGISTRATION_COMPLETED, user_id=user.id, username=user.username)
            await self._audit.record(repos, completed, source)
            return user
