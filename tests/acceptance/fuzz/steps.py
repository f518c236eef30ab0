"""What people do, one request or flow at a time; each answer is held to the model's."""

import asyncio
from typing import Any

from tests.acceptance.authenticator import proof_of, start_reauthentication
from tests.acceptance.fuzz.model import ACCESS, Access, Account, BegunLogin, Model, Refresh, Session
from tests.acceptance.fuzz.world import World
from tests.acceptance.new_passwords import record_of, start_change
from tests.acceptance.person import Answer, b64

STATUSES = {"unauthenticated": 401, "session_expired": 401, "reauthentication_required": 403}
#: A KE3 that proves nothing. With a wrong password the client has none; to find that out takes it 20 ms.
NO_PROOF = b64(bytes(64))


def expect(answer: Answer, status: int, code: str | None = None) -> None:
    body = answer.body if isinstance(answer.body, dict) else {}
    assert (answer.status, body.get("code") or body.get("error")) == (status, code), answer.body


class Steps:
    """Does it, and lets the model follow."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.model = Model()
        self.move_to(0)

    def move_to(self, seconds: int) -> None:
        self.model.now = seconds
        self.world.run(self.world.clock.set(seconds))

    def _post(self, path: str, body: object) -> Answer:
        return self.world.run(self.world.person("").post(path, body))

    def _ask(self, method: str, path: str, token: Access, **options: Any) -> Answer:
        return self.world.run(self.world.person("").bearing(method, path, token.value, **options))

    def _refused(self, answer: Answer, session: Session, token: Access, *, fresh: bool = False) -> bool:
        """Tell whether the token had to be refused, as it then was."""
        refusal = session.refusal(token, self.model.now, fresh=fresh)
        if refusal:
            expect(answer, STATUSES[refusal], refusal)
        return refusal is not None

    # -- logins -------------------------------------------------------------------------------------------------

    def register(self, name: str, password: bytes) -> None:
        answer = self.world.run(self.world.person(name, password).register())
        if self.model.named(name):
            return expect(answer, 409, "username_taken")
        expect(answer, 201)
        self.model.accounts.append(Account(name, password, answer.body["user"]["id"]))

    def begin_login(self, name: str, password: bytes) -> BegunLogin:
        person = self.world.person(name, password)
        started, state = self.world.run(person.start_login())
        expect(started, 200)
        account = self.model.named(name)
        proven = account is not None and account.password == password
        body = person.prove(started, state) if proven else {"flow_id": started.body["flow_id"], "ke3": NO_PROOF}
        self.model.logins.append(BegunLogin.at(account, body, proven))
        return self.model.logins[-1]

    def finish_login(self, login: BegunLogin) -> None:
        answer = self._post("/v1/login/finish", login.body)
        refusal = login.refusal()
        if refusal:
            return expect(answer, *refusal)
        expect(answer, 200)
        account, now, seen = login.account, self.model.now, answer.body["session"]
        assert account
        assert (seen["user_id"], seen["username"]) == (account.id, account.name)
        tokens = [Access(answer.body["access_token"], now)], [Refresh(answer.body["refresh_token"])]
        account.sessions.append(Session(seen["id"], account, now, now, now, *tokens))

    # -- sessions -----------------------------------------------------------------------------------------------

    def look(self, session: Session, token: Access) -> None:
        answer = self._ask("GET", "/v1/session", token)
        if self._refused(answer, session, token):
            return
        expect(answer, 200)
        seen = [answer.body[name] for name in ("id", "user_id", "username")]
        assert seen == [session.id, session.account.id, session.account.name]

    def list_them(self, session: Session, token: Access) -> None:
        answer = self._ask("GET", "/v1/sessions", token)
        if self._refused(answer, session, token):
            return
        expect(answer, 200)
        living = {each.id for each in session.account.living(self.model.now)}
        assert {item["id"] for item in answer.body["items"]} == living

    def log_out(self, session: Session, token: Access) -> None:
        answer = self._ask("DELETE", "/v1/session", token)
        if self.model.now >= token.issued_at + ACCESS or (token.ended and session.account.exists):
            return expect(answer, 401, "unauthenticated")
        expect(answer, 204)
        session.ended = True

    def end_one(self, session: Session, token: Access, ended: Session) -> None:
        answer = self._ask("DELETE", f"/v1/sessions/{ended.id}", token)
        if self._refused(answer, session, token):
            return
        if ended.account is not session.account:
            return expect(answer, 404, "not_found")
        expect(answer, 204)
        ended.ended = True

    def end_many(self, session: Session, token: Access, scope: str) -> None:
        answer = self._ask("DELETE", f"/v1/sessions?scope={scope}", token)
        if self._refused(answer, session, token):
            return
        ended = [each for each in session.account.living(self.model.now) if scope == "all" or each is not session]
        expect(answer, 200)
        assert answer.body == {"revoked": len(ended)}
        session.account.revocations += 1
        for each in ended:
            each.ended = True

    # -- tokens -------------------------------------------------------------------------------------------------

    def refresh(self, session: Session, token: Refresh, times: int = 1) -> None:
        """Show a refresh token, also several times at once."""
        answers = self.world.run(self._at_once(token, times))
        verdict = session.verdict(token, self.model.now)
        for answer in answers:
            if verdict == "refused":
                expect(answer, 400, "invalid_grant")
                continue
            expect(answer, 200)
            if token.consumed_at is None:
                session.rotate(token, answer.body["refresh_token"], self.model.now)
            assert token.successor
            assert answer.body["refresh_token"] == token.successor.value
            session.access.append(Access(answer.body["access_token"], self.model.now))

    async def _at_once(self, token: Refresh, times: int) -> list[Answer]:
        person = self.world.person("")
        return list(await asyncio.gather(*(person.refresh(token.value) for _ in range(times))))

    def revoke_refresh(self, session: Session, token: Refresh) -> None:
        self._revoke(token.value)
        session.ended = True

    def revoke_access(self, token: Access) -> None:
        self._revoke(token.value)
        token.ended = token.ended or self.model.now < token.issued_at + ACCESS

    def _revoke(self, token: str) -> None:
        expect(self.world.run(self.world.person("").ask("POST", "/oauth/revoke", data={"token": token})), 200)

    # -- the account --------------------------------------------------------------------------------------------

    def prove_again(self, session: Session, token: Access, password: bytes) -> None:
        person = self.world.person("", password)
        started, state = self.world.run(start_reauthentication(person, token.value))
        if self._refused(started, session, token):
            return
        right = password == session.account.password
        body = proof_of(person, started, state) if right else {"flow_id": started.body["flow_id"], "ke3": NO_PROOF}
        answer = self._ask("POST", "/v1/reauthentication/finish", token, json=body)
        if not right:
            return expect(answer, 401, "invalid_credentials")
        expect(answer, 200)
        session.authenticated_at = self.model.now
        session.access.append(Access(answer.body["access_token"], self.model.now))

    def change_password(self, session: Session, token: Access, password: bytes, *, ends_others: bool) -> None:
        started, state = self.world.run(start_change(self.world.person(""), token.value, password))
        if self._refused(started, session, token, fresh=True):
            return
        body = {**record_of(started, state, password), "revoke_other_sessions": ends_others}
        expect(self._ask("POST", "/v1/password/finish", token, json=body), 204)
        session.account.password = password
        session.account.credential += 1
        for each in session.account.living(self.model.now) if ends_others else ():
            each.ended = each is not session

    def rename(self, session: Session, token: Access, name: str) -> None:
        answer = self._ask("PATCH", "/v1/account", token, json={"username": name})
        if self._refused(answer, session, token, fresh=True):
            return
        if self.model.named(name) not in (None, session.account):
            return expect(answer, 409, "username_taken")
        expect(answer, 200)
        session.account.name = name

    def delete(self, session: Session, token: Access) -> None:
        answer = self._ask("DELETE", "/v1/account", token)
        if self._refused(answer, session, token, fresh=True):
            return
        expect(answer, 204)
        session.account.exists = False
