"""A new password on its way: drawn for at a start, stored at a finish if nothing changed in between.

Its credential identifier is drawn anew each time: evaluated under a stored one, a start would tell whoever asks whether
a guessed password is right.
"""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from cypher.auth.types import RegistrationStarted
from cypher.clock import new_bytes
from cypher.ephemeral.flows import FlowStore
from cypher.errors import FlowExpired
from cypher.repositories import Repositories
from cypher.repositories.accounts import CredentialState

CREDENTIAL_ID = 16


class BegunCredential(msgspec.Struct, frozen=True, kw_only=True):
    """Whose password it is to be, and what must still be as it was. Travels sealed through Redis."""

    user_id: UUID
    credential_id: bytes  #: 16 bytes, drawn for this password
    setup_id: str  #: the OPAQUE setup that its start was answered under
    replaces: bytes | None  #: the credential that was there; None for somebody who has no password yet
    sessions_revoked_at: datetime | None


def new_credential_id() -> bytes:
    """Draw a credential identifier."""
    return new_bytes(CREDENTIAL_ID)


def begin(found: CredentialState, *, credential_id: bytes, setup_id: str) -> BegunCredential:
    """Note what a new password takes the place of."""
    return BegunCredential(
        user_id=found.user_id,
        credential_id=credential_id,
        setup_id=setup_id,
        replaces=found.credential_id,
        sessions_revoked_at=found.sessions_revoked_at,
    )


async def hand_out(
    flows: FlowStore, kind: str, pending: msgspec.Struct, response: bytes, lifetime: timedelta
) -> RegistrationStarted:
    """Keep what a finish will need, and return what a record is made of: the answer to every start."""
    flow_id = await flows.put(kind, pending, lifetime)
    return RegistrationStarted(
        flow_id=flow_id, registration_response=response, expires_in=int(lifetime.total_seconds())
    )


async def require_unchanged(repos: Repositories, begun: BegunCredential) -> None:
    """Hold the person's row, and raise FlowExpired for one that is not as it was, or may not come in."""
    standing = await repos.users.lock_standing(begun.user_id, begun.replaces, begun.sessions_revoked_at)
    if standing is None or not standing.current or not standing.is_active or standing.locked:
        raise FlowExpired


async def store(repos: Repositories, begun: BegunCredential, record: bytes) -> None:
    """Make the record (192 bytes) the person's; call it after `require_unchanged`, in the same transaction."""
    stored = await repos.accounts.set_credential(
        begun.user_id,
        record=record,
        setup_id=begun.setup_id,
        credential_id=begun.credential_id,
        replaces=begun.replaces,
    )
    if not stored:
        raise FlowExpired
    await credential_changed(repos, begun.user_id)


async def credential_changed(repos: Repositories, user_id: UUID) -> None:
    """End what stood beside the old password, in the transaction that replaced it: recovery tokens, trust in devices.

    Sessions are not ended here: which of them go differs, and their tombstones come after the commit.
    """
    await repos.recovery_tokens.end_tokens(user_id)
    await repos.devices.end_trust(user_id)
