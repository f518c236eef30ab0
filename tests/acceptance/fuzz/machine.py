"""What hypothesis makes sequences of: who does what, with which of the tokens, after how long."""

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.acceptance.fuzz.model import DAY, Access, Session
from tests.acceptance.fuzz.steps import Steps
from tests.acceptance.fuzz.world import World

T = TypeVar("T")
#: Which one of those there are: the last one mostly, which is the newest, or lives.
WHICH = st.sampled_from((0, 0, 0, 0, 1, 1, 2, 3, 5, 8))
NAMES = st.sampled_from(("ann", "bob", "eve"))
PASSWORDS = st.sampled_from((b"first", b"second"))
#: At the bounds of the model and beside them.
MOVES = st.sampled_from((1, 5, 9, 10, 11, 31, 31, 120, 120, 299, 300, 600, DAY, 3 * DAY, 6 * DAY, 7 * DAY))
ENDS = st.sampled_from(("out", "one", "all", "others", "token"))
MEANWHILE = st.sampled_from(("all", "others", "password", "name", "deletion"))

with_a_session = precondition(lambda self: self.model.sessions())
with_a_living_session = precondition(lambda self: any(each.lives(self.model.now) for each in self.model.sessions()))
with_two_people = precondition(lambda self: self.model.people() > 1)


def last(items: Sequence[T], which: int) -> T:
    return items[-1 - which % len(items)]


class People(RuleBasedStateMachine):
    """A few people with a few names do whatever comes to their mind, and time passes."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.steps = Steps(world)
        self.model = self.steps.model
        self.number = next(world.numbers)

    def _named(self, name: str) -> str:
        """Nobody meets a name of another sequence."""
        return f"{name}-{self.number}"

    def _session(self, which: int) -> Session:
        return last(sorted(self.model.sessions(), key=lambda session: session.lives(self.model.now)), which)

    def _picked(self, which: int, older: int) -> tuple[Session, Access]:
        session = self._session(which)
        return session, last(session.access, older)

    @initialize(password=PASSWORDS)
    def somebody_is_there(self, password: bytes) -> None:
        self.register("ann", password)
        self.log_in("ann", password)

    @rule(seconds=MOVES)
    def time_passes(self, seconds: int) -> None:
        self.steps.move_to(self.model.now + seconds)

    # -- logins -------------------------------------------------------------------------------------------------

    @rule(name=NAMES, password=PASSWORDS)
    def register(self, name: str, password: bytes) -> None:
        self.steps.register(self._named(name), password)

    @rule(name=NAMES, password=PASSWORDS)
    def log_in(self, name: str, password: bytes) -> None:
        self.steps.finish_login(self.steps.begin_login(self._named(name), password))

    @rule(name=NAMES, password=PASSWORDS)
    def begin_to_log_in(self, name: str, password: bytes) -> None:
        self.steps.begin_login(self._named(name), password)

    @precondition(lambda self: self.model.logins)
    @rule(which=WHICH)
    def finish_to_log_in(self, which: int) -> None:
        self.steps.finish_login(last(sorted(self.model.logins, key=lambda login: not login.used), which))

    @with_a_living_session
    @rule(which=WHICH, password=PASSWORDS, happens=MEANWHILE)
    def log_in_while_something_happens(self, which: int, password: bytes, happens: str) -> None:
        session, token = self._picked(which, 0)
        login = self.steps.begin_login(session.account.name, session.account.password)
        match happens:
            case "password":
                self.steps.change_password(session, token, password, ends_others=False)
            case "name":
                self.steps.rename(session, token, self._named("eve"))
            case "deletion":
                self.steps.delete(session, token)
            case _:
                self.steps.end_many(session, token, happens)
        self.steps.finish_login(login)

    # -- sessions and tokens ------------------------------------------------------------------------------------

    @with_a_session
    @rule(which=WHICH, older=WHICH)
    def look(self, which: int, older: int) -> None:
        self.steps.look(*self._picked(which, older))

    @with_a_living_session
    @rule(which=WHICH, older=WHICH)
    def list_them(self, which: int, older: int) -> None:
        self.steps.list_them(*self._picked(which, older))

    @with_a_session
    @rule(which=WHICH, older=WHICH, other=WHICH, how=ENDS)
    def end(self, which: int, older: int, other: int, how: str) -> None:
        session, token = self._picked(which, older)
        match how:
            case "out":
                self.steps.log_out(session, token)
            case "one":
                self.steps.end_one(session, token, self._session(other))
            case "token":
                self.steps.revoke_refresh(session, last(session.family, older))
            case _:
                self.steps.end_many(session, token, how)

    @with_a_living_session
    @rule(which=WHICH)
    def refresh(self, which: int) -> None:
        session = self._session(which)
        self.steps.refresh(session, session.family[-1])

    @with_a_living_session
    @rule(which=WHICH, seconds=st.sampled_from((0, 0, 1, 9, 10, 11)))
    def refresh_and_again(self, which: int, seconds: int) -> None:
        session = self._session(which)
        token = session.family[-1]
        self.steps.refresh(session, token)
        self.time_passes(seconds)
        self.steps.refresh(session, token)

    @with_a_session
    @rule(which=WHICH, older=WHICH, times=st.sampled_from((1, 2)))
    def refresh_by_any(self, which: int, older: int, times: int) -> None:
        session = self._session(which)
        self.steps.refresh(session, last(session.family, older), times)

    @with_a_session
    @rule(which=WHICH, older=WHICH)
    def revoke_an_access_token(self, which: int, older: int) -> None:
        self.steps.revoke_access(self._picked(which, older)[1])

    # -- the account --------------------------------------------------------------------------------------------

    @with_a_living_session
    @rule(which=WHICH, older=WHICH, password=PASSWORDS)
    def prove_again(self, which: int, older: int, password: bytes) -> None:
        self.steps.prove_again(*self._picked(which, older), password)

    @with_a_living_session
    @rule(which=WHICH, older=WHICH, password=PASSWORDS, ends_others=st.booleans())
    def change_the_password(self, which: int, older: int, password: bytes, ends_others: bool) -> None:
        self.steps.change_password(*self._picked(which, older), password, ends_others=ends_others)

    @with_a_living_session
    @rule(which=WHICH, older=WHICH, name=NAMES)
    def rename(self, which: int, older: int, name: str) -> None:
        self.steps.rename(*self._picked(which, older), self._named(name))

    @with_two_people
    @with_a_living_session
    @rule(which=WHICH, older=WHICH)
    def delete(self, which: int, older: int) -> None:
        self.steps.delete(*self._picked(which, older))

    def teardown(self) -> None:
        """Whatever happened: what is over is over, and what lives goes on."""
        for session in self.model.sessions():
            self.steps.look(session, session.access[-1])
