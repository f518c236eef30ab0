"""The names of what can happen, as the audit trail writes them: group.thing.verb."""

from enum import StrEnum


class Event(StrEnum):
    """One kind of security event."""

    REGISTRATION_COMPLETED = "auth.registration.completed"
    REGISTRATION_REFUSED = "auth.registration.refused"
    LOGIN_ATTEMPTED = "auth.login.attempted"
    LOGIN_SUCCEEDED = "auth.login.succeeded"
    LOGIN_FAILED = "auth.login.failed"
    FACTOR_ASKED = "auth.factor.asked"
    FACTOR_FAILED = "auth.factor.failed"
    FACTOR_DISABLED = "auth.factor.disabled"
    FACTOR_BEGUN = "auth.factor.begun"
    FACTOR_ENROLLED = "auth.factor.enrolled"
    FACTOR_REMOVED = "auth.factor.removed"
    RECOVERY_CODE_USED = "auth.recovery_code.used"
    RECOVERY_CODES_REPLACED = "auth.recovery_codes.replaced"
    REAUTHENTICATION_ATTEMPTED = "auth.reauthentication.attempted"
    REAUTHENTICATION_SUCCEEDED = "auth.reauthentication.succeeded"
    REAUTHENTICATION_FAILED = "auth.reauthentication.failed"
    PASSWORD_CHANGED = "auth.password.changed"  # noqa: S105 - the name of an event
    RECOVERY_REQUESTED = "auth.recovery.requested"
    RECOVERY_ISSUED = "auth.recovery.issued"
    RECOVERY_COMPLETED = "auth.recovery.completed"
    RECOVERY_REFUSED = "auth.recovery.refused"
    ACCOUNT_RENAMED = "auth.account.renamed"
    ACCOUNT_EXPORTED = "auth.account.exported"
    ACCOUNT_DELETED = "auth.account.deleted"
    RATE_LIMITED = "auth.rate_limit.exceeded"
    SESSION_CREATED = "session.session.created"
    SESSION_ENDED = "session.session.ended"
    SESSIONS_ENDED = "session.sessions.ended"
    TOKEN_REFRESHED = "token.refresh.rotated"  # noqa: S105 - the name of an event
    TOKEN_REUSED = "token.refresh.reused"  # noqa: S105 - the name of an event
    TOKEN_REVOKED = "token.access.revoked"  # noqa: S105 - the name of an event
    FIELD_OPEN_FAILED = "crypto.open_failed"
    KEY_PREPARED = "crypto.key.prepared"
    KEY_ROTATED = "crypto.key.rotated"
    KEY_DESTROYED = "crypto.key.destroyed"
    MASTER_PASSWORD_CHANGED = "crypto.master_password.changed"  # noqa: S105 - the name of an event
    INDEX_ROTATED = "crypto.index.rotated"
    REENCRYPTION_STARTED = "crypto.reencryption.started"
    REENCRYPTION_COMPLETED = "crypto.reencryption.completed"
    KEY_STORE_MOVED = "crypto.key_store.moved"
    FACTORS_RESET = "admin.factors.reset"
    USER_CREATED = "admin.user.created"
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


class Outcome(StrEnum):
    """How it ended."""

    SUCCESS = "success"
    FAILURE = "failure"


#: Events that anybody on the network can cause at will: kept in the class that is dropped early.
NOISY = frozenset(
    {
        Event.LOGIN_ATTEMPTED,
        Event.LOGIN_FAILED,
        Event.RATE_LIMITED,
        Event.RECOVERY_REFUSED,
        Event.RECOVERY_REQUESTED,
        Event.REGISTRATION_REFUSED,
        Event.TOKEN_REFRESHED,
    }
)

#: Events that somebody should look at.
ALARMING = frozenset({Event.TOKEN_REUSED, Event.FACTOR_DISABLED, Event.FIELD_OPEN_FAILED})
