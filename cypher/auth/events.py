"""The names of what can happen, as the audit trail writes them: group.thing.verb."""

from enum import StrEnum

from cypher.crypto.keys import Purpose, State


class Event(StrEnum):
    """One kind of security event."""

    REGISTRATION_COMPLETED = "auth.registration.completed"
    REGISTRATION_REFUSED = "auth.registration.refused"
    LOGIN_ATTEMPTED = "auth.login.attempted"
    LOGIN_SUCCEEDED = "auth.login.succeeded"
    LOGIN_FAILED = "auth.login.failed"
    REAUTHENTICATION_ATTEMPTED = "auth.reauthentication.attempted"
    REAUTHENTICATION_SUCCEEDED = "auth.reauthentication.succeeded"
    REAUTHENTICATION_FAILED = "auth.reauthentication.failed"
    FACTOR_BEGUN = "mfa.factor.begun"
    FACTOR_ENROLLED = "mfa.factor.enrolled"
    FACTOR_REMOVED = "mfa.factor.removed"
    FACTOR_DISABLED = "mfa.factor.disabled"
    FACTOR_ASKED = "mfa.challenge.asked"
    FACTOR_FAILED = "mfa.challenge.failed"
    RECOVERY_CODE_USED = "mfa.recovery_codes.used"
    RECOVERY_CODES_REPLACED = "mfa.recovery_codes.replaced"
    SESSION_CREATED = "session.session.created"
    SESSION_ENDED = "session.session.ended"
    SESSIONS_ENDED = "session.sessions.ended"
    TOKEN_REFRESHED = "token.refresh.rotated"  # noqa: S105 - the name of an event
    TOKEN_REUSED = "token.refresh.reused"  # noqa: S105 - the name of an event
    TOKEN_REVOKED = "token.access.revoked"  # noqa: S105 - the name of an event
    RATE_LIMITED = "abuse.rate_limit.exceeded"
    FIELD_OPEN_FAILED = "crypto.open_failed"
    KEY_PREPARED = "crypto.key.prepared"
    KEY_ROTATED = "crypto.key.rotated"
    KEY_DESTROYED = "crypto.key.destroyed"
    SIGNING_KEY_PREPARED = "crypto.signing_key.prepared"
    SIGNING_KEY_ROTATED = "crypto.signing_key.rotated"
    SIGNING_KEY_DESTROYED = "crypto.signing_key.destroyed"
    OPAQUE_SETUP_ROTATED = "crypto.opaque_setup.rotated"
    OPAQUE_SETUP_DESTROYED = "crypto.opaque_setup.destroyed"
    OPAQUE_SETUP_ADOPTED = "crypto.opaque_setup.adopted"
    REENCRYPTION_COMPLETED = "crypto.reencryption.completed"
    MASTER_PASSWORD_CHANGED = "crypto.master_password.changed"  # noqa: S105 - the name of an event
    INDEX_ROTATED = "crypto.index.rotated"
    REENCRYPTION_STARTED = "crypto.reencryption.started"
    KEY_STORE_MOVED = "crypto.key_store.moved"
    FACTORS_RESET = "admin.factors.reset"
    USER_CREATED = "admin.user.created"
    USERS_IMPORTED = "admin.users.imported"
    USER_LOCKED = "admin.user.locked"
    USER_UNLOCKED = "admin.user.unlocked"
    USER_DISABLED = "admin.user.disabled"
    USER_ENABLED = "admin.user.enabled"
    USER_DELETED = "admin.user.deleted"
    RECOVERY_HANDED_OVER = "admin.recovery.issued"
    SESSIONS_REVOKED = "admin.sessions.revoked"
    SERVICE_TOKEN_CREATED = "admin.service_token.created"  # noqa: S105 - the name of an event
    SERVICE_TOKEN_REVOKED = "admin.service_token.revoked"  # noqa: S105 - the name of an event
    RATE_LIMIT_RESET = "admin.rate_limit.reset"
    DEVICE_ADDED = "device.device.added"
    DEVICE_RENAMED = "device.device.renamed"
    DEVICE_REVOKED = "device.device.revoked"
    DEVICE_TRUSTED = "device.trust.granted"
    DEVICE_TRUST_USED = "device.trust.used"
    DEVICE_DISTRUSTED = "device.trust.ended"
    PASSWORD_CHANGED = "credential.password.changed"  # noqa: S105 - the name of an event
    RECOVERY_REQUESTED = "credential.recovery.requested"
    RECOVERY_ISSUED = "credential.recovery.issued"
    RECOVERY_COMPLETED = "credential.recovery.completed"
    RECOVERY_REFUSED = "credential.recovery.refused"
    ACCOUNT_RENAMED = "account.account.renamed"
    ACCOUNT_EXPORTED = "account.account.exported"
    ACCOUNT_DELETED = "account.account.deleted"
    ACTIVITY_READ = "audit.activity.read"
    TRAIL_READ = "audit.trail.read"
    TRAIL_EXPORTED = "audit.trail.exported"
    TRAIL_VERIFIED = "audit.trail.verified"
    TRAIL_BROKEN = "audit.trail.broken"
    MONTH_DROPPED = "audit.month.dropped"
    BACKUP_CREATED = "system.backup.created"
    BACKUP_RESTORED = "system.backup.restored"
    INSTANCE_STARTED = "system.instance.started"
    INSTANCE_STOPPED = "system.instance.stopped"


class Outcome(StrEnum):
    """How it ended."""

    SUCCESS = "success"
    FAILURE = "failure"


class Severity(StrEnum):
    """Who should look at it: nobody in particular, somebody now and then, somebody now."""

    INFO = "info"
    WARNING = "warning"
    ALERT = "alert"


class ActorType(StrEnum):
    """Who did it. Whoever has proven nothing is a stranger, whatever name was given."""

    USER = "user"
    STRANGER = "stranger"
    OPERATOR = "operator"
    SERVICE = "service"


#: Events that anybody on the network can cause at will, or that say little a month later: dropped early.
NOISY = frozenset(
    {
        Event.LOGIN_ATTEMPTED,
        Event.LOGIN_FAILED,
        Event.RATE_LIMITED,
        Event.RECOVERY_REFUSED,
        Event.RECOVERY_REQUESTED,
        Event.REGISTRATION_REFUSED,
        Event.TOKEN_REFRESHED,
        Event.ACTIVITY_READ,
    }
)

#: Events that somebody should look at.
ALARMING = frozenset({Event.TOKEN_REUSED, Event.FACTOR_DISABLED, Event.FIELD_OPEN_FAILED, Event.TRAIL_BROKEN})

#: Events whose subject is known while the sender has not proven to be that person.
UNPROVEN = frozenset({Event.LOGIN_ATTEMPTED, Event.LOGIN_FAILED, Event.FACTOR_FAILED, Event.FACTOR_DISABLED})

_KEY_EVENTS = {
    State.PENDING: Event.KEY_PREPARED,
    State.ACTIVE: Event.KEY_ROTATED,
    State.DESTROYED: Event.KEY_DESTROYED,
}
_KEY_EVENTS_OF = {
    Purpose.SIGNING: {
        State.PENDING: Event.SIGNING_KEY_PREPARED,
        State.ACTIVE: Event.SIGNING_KEY_ROTATED,
        State.DESTROYED: Event.SIGNING_KEY_DESTROYED,
    },
    Purpose.OPAQUE: {State.ACTIVE: Event.OPAQUE_SETUP_ROTATED, State.DESTROYED: Event.OPAQUE_SETUP_DESTROYED},
}


def key_event(purpose: Purpose, state: State) -> Event:
    """Return what it is called that a key came into a state.

    Not for `decrypt_only`, which goes with another key's becoming active and is no event of its own.
    """
    return _KEY_EVENTS_OF.get(purpose, _KEY_EVENTS)[state]
