"""What a service must answer, in plain words: people, their sessions, the family of refresh tokens of each session.

Times are whole seconds of the virtual time. Settings are the defaults.
"""

from dataclasses import dataclass, field

ACCESS, GRACE, FRESH, DAY = 300, 10, 600, 86_400
IDLE, ABSOLUTE = 7 * DAY, 30 * DAY


@dataclass
class Account:
    name: str
    password: bytes
    id: str = ""
    exists: bool = True
    credential: int = 0  #: grows with every new password
    revocations: int = 0  #: of many sessions at once
    sessions: list["Session"] = field(default_factory=list)

    def living(self, now: int) -> list["Session"]:
        return [session for session in self.sessions if session.lives(now)]


@dataclass
class Access:
    """An access token."""

    value: str
    issued_at: int
    ended: bool = False


@dataclass
class Refresh:
    """A refresh token. `successor` is forgotten once that one is used."""

    value: str
    parent: "Refresh | None" = None
    consumed_at: int | None = None
    successor: "Refresh | None" = None


@dataclass
class Session:
    id: str
    account: Account
    created_at: int
    authenticated_at: int
    seen_at: int
    access: list[Access]
    family: list[Refresh]
    ended: bool = False

    def lives(self, now: int) -> bool:
        if self.ended or not self.account.exists:
            return False
        return now < min(self.seen_at + IDLE, self.created_at + ABSOLUTE)

    def refusal(self, token: Access, now: int, *, fresh: bool = False) -> str | None:
        """Return the code that a request with this token is refused with, or None: then the session was used.

        `fresh`: the request asks for a proof of late.
        """
        if now >= token.issued_at + ACCESS:
            return "unauthenticated"
        if not self.lives(now):
            return "session_expired"
        self.seen_at = now
        if token.ended:
            return "unauthenticated"
        return "reauthentication_required" if fresh and now >= self.authenticated_at + FRESH else None

    def verdict(self, token: Refresh, now: int) -> str:
        """Say what a refresh token is worth, and end the session of one that was used before."""
        if not self.lives(now):
            return "refused"
        if token.consumed_at is None:
            return "rotated"
        if token.successor is not None and now < token.consumed_at + GRACE:
            return "repeated"
        self.ended = True
        return "refused"

    def rotate(self, token: Refresh, value: str, now: int) -> None:
        successor = Refresh(value, parent=token)
        token.consumed_at, token.successor = now, successor
        if token.parent is not None:
            token.parent.successor = None
        self.family.append(successor)
        self.seen_at = now


@dataclass
class BegunLogin:
    """A login after its first step: what it met there must be there at its end."""

    account: Account | None  #: None for a name that nobody has
    credential: int
    revocations: int
    body: dict[str, str]  #: of login/finish
    proven: bool
    used: bool = False

    @classmethod
    def at(cls, account: Account | None, body: dict[str, str], proven: bool) -> "BegunLogin":
        if account is None:
            return cls(None, 0, 0, body, proven=False)
        return cls(account, account.credential, account.revocations, body, proven)

    def refusal(self) -> tuple[int, str] | None:
        if self.used:
            return 410, "flow_expired"
        self.used = True
        if not self.proven or self.account is None:
            return 401, "invalid_credentials"
        same = (self.credential, self.revocations) == (self.account.credential, self.account.revocations)
        return None if same and self.account.exists else (410, "flow_expired")


@dataclass
class Model:
    now: int = 0
    accounts: list[Account] = field(default_factory=list)
    logins: list[BegunLogin] = field(default_factory=list)

    def named(self, name: str) -> Account | None:
        return next((account for account in self.accounts if account.exists and account.name == name), None)

    def sessions(self) -> list[Session]:
        return [session for account in self.accounts for session in account.sessions]

    def people(self) -> int:
        return sum(account.exists for account in self.accounts)
