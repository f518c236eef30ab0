"""What an operator does about people holds at once, on every instance; and shows to nobody who is invited."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import opaque_ke_py as opaque
import pytest

from cypher.auth.people import People
from cypher.auth.session_review import SessionReview
from cypher.errors import (
    AccountDisabled,
    AccountLocked,
    NotFound,
    RedisUnavailable,
    UsernameTaken,
)
from cypher.operating import people, session_review
from tests.acceptance.authenticator import enrol, prove
from tests.acceptance.new_passwords import NEW, begin_recovery, finish_recovery, id_of, opens, recover
from tests.acceptance.person import Answer, Person, b64, unb64
from tests.acceptance.same_time import assert_same_time

HOUR = timedelta(hours=1)


@pytest.fixture
async def login(person: Person, service) -> dict:
    assert (await person.register()).status == 201
    return (await person.login()).body


@pytest.fixture
def operator(service) -> People:
    return people(service.resources)


@pytest.fixture
def review(service) -> SessionReview:
    return session_review(service.resources)


def lock(operator: People, user_id):
    return operator.lock(user_id, lifetime=HOUR)


def disable(operator: People, user_id):
    return operator.disable(user_id)


async def let_in(operator: People, user_id) -> None:
    await operator.unlock(user_id)
    await operator.enable(user_id)


keeping_out = pytest.mark.parametrize(
    ("keep_out", "code"), [(lock, "account_locked"), (disable, "account_disabled")], ids=["lock", "disable"]
)


# -- kept out -----------------------------------------------------------------------------------------------


@keeping_out
async def test_who_is_kept_out_is_out_at_once_everywhere(start_service, http, keep_out, code: str) -> None:
    one, two = await start_service(), await start_service()
    person, elsewhere = Person(http, one.url, "alice"), Person(http, two.url, "alice")
    await person.register()
    sessions = [(await person.login()).body for _ in range(2)]
    for session in sessions:
        assert (await elsewhere.session(session["access_token"])).status == 200  # it is cached
    user = await keep_out(people(one.resources), id_of(sessions[0]))
    assert (user.is_active, user.locked_until is None) == (code != "account_disabled", code != "account_locked")
    for session in sessions:
        refused = await elsewhere.session(session["access_token"])
        assert (refused.status, refused.body["code"]) == (401, "session_expired")
        assert (await elsewhere.refresh(session["refresh_token"])).body["error"] == "invalid_grant"
    # Only who proves the password learns why.
    refused = await person.login()
    assert (refused.status, refused.body["code"]) == (403, code)
    person.password = b"wrong"
    started, _ = await person.start_login()
    wrong = await person.post("/v1/login/finish", {"flow_id": started.body["flow_id"], "ke3": b64(bytes(64))})
    assert (wrong.status, wrong.body["code"]) == (401, "invalid_credentials")
    person.password = Person.password
    await let_in(people(one.resources), user.id)
    assert (await person.login()).status == 200
    for session in sessions:  # what was ended stays ended
        assert (await elsewhere.session(session["access_token"])).status == 401


@keeping_out
async def test_no_login_can_end_that_began_before_even_when_it_passed(
    person: Person, login, service, operator, keep_out, code: str
) -> None:
    _, codes = await enrol(person, login["access_token"], service.resources.clock)
    half = await person.login()
    begun, state = await person.start_login()
    await keep_out(operator, id_of(login))
    await let_in(operator, id_of(login))
    assert (await person.post("/v1/login/finish", person.prove(begun, state))).status == 410
    assert (await prove(person, half, codes[0], "recovery_code")).status == 410


@keeping_out
async def test_a_recovery_token_ends_and_none_is_made(person: Person, login, operator, keep_out, code: str) -> None:
    token = (await operator.issue_recovery(id_of(login))).recovery_token
    await keep_out(operator, id_of(login))
    with pytest.raises(AccountLocked if code == "account_locked" else AccountDisabled):
        await operator.issue_recovery(id_of(login))
    await let_in(operator, id_of(login))
    assert (await recover(person, token)).status == 410


@keeping_out
async def test_a_login_that_races_leaves_no_session(person: Person, login, service, operator, keep_out, code) -> None:
    for _ in range(5):
        begun, state = await person.start_login()
        raced, _ = await asyncio.gather(
            person.post("/v1/login/finish", person.prove(begun, state)), keep_out(operator, id_of(login))
        )
        if raced.status == 200:
            assert (await person.session(raced.body["access_token"])).status == 401
        assert await service.fetch("SELECT 1 FROM user_sessions WHERE revoked_at IS NULL") == []
        await let_in(operator, id_of(login))


@keeping_out
async def test_without_redis_it_stands_and_is_completed_when_asked_again(
    person: Person, login, service, operator, monkeypatch, keep_out, code: str
) -> None:
    assert (await person.session(login["access_token"])).status == 200  # it is cached

    async def away(*arguments: object, **options: object) -> None:
        raise RedisUnavailable

    with monkeypatch.context() as patch:
        patch.setattr("cypher.redis_client.RedisClient.set_each", away)
        with pytest.raises(RedisUnavailable):
            await keep_out(operator, id_of(login))
    assert (await person.session(login["access_token"])).status == 200
    await keep_out(operator, id_of(login))
    assert (await person.session(login["access_token"])).status == 401


async def test_a_lock_passes_by_itself(person: Person, login, service, operator) -> None:
    await operator.lock(id_of(login), lifetime=HOUR)
    assert (await person.login()).status == 403
    await service.execute("UPDATE users SET locked_until = now() - INTERVAL '1 second'")
    assert (await person.login()).status == 200


async def test_each_step_is_in_the_trail(person: Person, login, service, operator) -> None:
    user_id = id_of(login)
    await operator.lock(user_id)
    await operator.unlock(user_id)
    await operator.disable(user_id)
    await operator.enable(user_id)
    await operator.issue_recovery(user_id)
    invited = await operator.create("bob")
    await operator.delete(user_id)
    entries = [
        entry
        for entry in await service.fetch("SELECT * FROM audit_logs ORDER BY id")
        if entry["action"].startswith("admin.")
    ]
    assert [(entry["action"], entry["user_id"]) for entry in entries] == [
        ("admin.user.locked", user_id),
        ("admin.user.unlocked", user_id),
        ("admin.user.disabled", user_id),
        ("admin.user.enabled", user_id),
        ("admin.recovery.issued", user_id),
        ("admin.user.created", invited.user.id),
        ("admin.user.deleted", user_id),
    ]
    assert {entry["actor_type"] for entry in entries} == {"operator"}


async def test_nobody_is_not_found(operator, review) -> None:
    for ask in (operator.lock, operator.unlock, operator.disable, operator.enable, operator.issue_recovery):
        with pytest.raises(NotFound):
            await ask(uuid4())
    for ask in (operator.get, operator.delete, review.list_sessions, review.revoke_of):
        with pytest.raises(NotFound):
            await ask(uuid4())
    assert await operator.find("nobody") is None


# -- invited ------------------------------------------------------------------------------------------------


async def test_somebody_invited_sets_a_password_and_logs_in(person: Person, service, operator) -> None:
    invited = await operator.create("ALICE")
    assert (invited.user.username, invited.user.last_login_at) == ("alice", None)
    assert invited.expires_at - datetime.now(UTC) > timedelta(hours=23)
    assert (await recover(person, invited.recovery_token)).status == 204
    login = (await person.login()).body
    assert id_of(login) == invited.user.id
    assert await opens(person, NEW)
    assert (await recover(person, invited.recovery_token)).status == 410


async def test_of_two_who_use_one_invitation_at_once_one_holds(person: Person, operator) -> None:
    invited = await operator.create("alice")
    passwords = [b"first", b"second"]
    bodies = [await begin_recovery(person, invited.recovery_token, password) for password in passwords]
    answers = await asyncio.gather(*(finish_recovery(person, body) for body in bodies))
    assert sorted(answer.status for answer in answers) == [204, 410]


async def test_the_name_of_somebody_invited_is_taken(person: Person, login, operator) -> None:
    await operator.create("bob")
    for name in ("bob", "BOB", "alice"):
        with pytest.raises(UsernameTaken):
            await operator.create(name)
    bob = Person(person.http, person.url, "bob")
    assert (await bob.register()).body["code"] == "username_taken"
    refused = await person.bearing("PATCH", "/v1/account", login["access_token"], json={"username": "bob"})
    assert refused.body["code"] == "username_taken"


async def begin(person: Person, name: str, ke1: str) -> Answer:
    return await person.post("/v1/login/start", {"username": name, "ke1": ke1})


async def test_a_login_does_not_tell_somebody_invited_from_nobody(person: Person, service, operator) -> None:
    ke1 = b64(opaque.client_login_start(b"guess").get_message())
    before = await begin(person, "invited", ke1)
    await operator.create("invited")
    answers = [await begin(person, name, ke1) for name in ("invited", "invited", "nobody-has-this-name")]
    assert {answer.status for answer in answers} == {200}
    # The same as before there was anybody, and each time the same.
    evaluated = [unb64(answer.body["ke2"])[:32] for answer in (before, *answers)]
    assert evaluated[0] == evaluated[1] == evaluated[2]
    finished = [
        await person.post("/v1/login/finish", {"flow_id": answer.body["flow_id"], "ke3": b64(bytes(64))})
        for answer in answers
    ]
    assert {(answer.status, answer.body["code"]) for answer in finished} == {(401, "invalid_credentials")}
    attempts = await service.audit("auth.login.attempted")
    assert {attempt["user_id"] for attempt in attempts} == {None}


async def test_a_login_takes_the_same_time_for_somebody_invited_and_for_nobody(person: Person, operator) -> None:
    ke1 = b64(opaque.client_login_start(b"guess").get_message())
    await operator.create("invited")
    bodies = [{"username": name, "ke1": ke1} for name in ("invited", "unknown")]
    await assert_same_time(person, "/v1/login/start", *bodies)


async def test_a_login_that_began_before_the_first_password_does_not_end(person: Person, operator) -> None:
    invited = await operator.create("alice")
    started, state = await person.start_login()
    assert (await recover(person, invited.recovery_token)).status == 204
    with pytest.raises(ValueError, match=r".*"):
        person.prove(started, state)
    answer = await person.post("/v1/login/finish", {"flow_id": started.body["flow_id"], "ke3": b64(bytes(64))})
    assert answer.status == 401


async def test_keys_and_sweeps_do_not_mind_somebody_without_a_password(service, operator, run_cli) -> None:
    await operator.create("alice")
    for command in (("keys", "rotate"), ("keys", "reencrypt"), ("keys", "status", "--json")):
        done = await run_cli(service, *command)
        assert done.returncode == 0, done.stderr
    found = await operator.find("alice")
    assert found is not None
    assert found.username == "alice"


# -- listed, deleted ----------------------------------------------------------------------------------------


async def test_people_are_listed_page_by_page(person: Person, operator) -> None:
    made = [(await operator.create(f"person-{number}")).user for number in range(5)]
    seen, cursor = [], None
    while True:
        page = await operator.list_users(cursor=cursor, most=2)
        seen += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
        assert len(page.items) == 2
    assert seen == made


async def test_a_name_that_does_not_open_hides_nobody_else_and_can_be_dealt_with(service, operator) -> None:
    damaged = (await operator.create("alice")).user
    whole = (await operator.create("bob")).user
    await service.execute(f"UPDATE users SET username = 'x' WHERE id = '{damaged.id}'")
    assert [user.username for user in (await operator.list_users()).items] == [None, "bob"]
    assert (await operator.disable(damaged.id)).is_active is False
    assert (await operator.lock(damaged.id)).locked_until is not None
    await operator.delete(damaged.id)
    assert [user.id for user in (await operator.list_users()).items] == [whole.id]


async def test_a_deletion_by_the_operator_is_one_by_the_owner(person: Person, login, service, operator) -> None:
    assert (await person.session(login["access_token"])).status == 200  # it is cached
    await operator.delete(id_of(login))
    refused = await person.session(login["access_token"])
    assert (refused.status, refused.body["code"]) == (401, "session_expired")
    assert await service.fetch("SELECT 1 FROM users") == []
    assert (await person.register()).status == 201


# -- sessions -----------------------------------------------------------------------------------------------


async def test_an_operator_sees_sessions_but_not_from_where(person: Person, login, review) -> None:
    [session] = (await review.list_sessions(id_of(login))).items
    assert (str(session.id), session.username, session.aal) == (login["session"]["id"], "alice", 1)
    assert not {"ip_address", "user_agent"} & set(session.__struct_fields__)


async def test_somebodys_sessions_end_with_what_they_began(person: Person, login, service, review) -> None:
    other = (await person.login()).body
    begun, state = await person.start_login()
    ended = await review.revoke_of(id_of(login))
    assert (ended.revoked, ended.dry_run) == (2, False)
    for session in (login, other):
        assert (await person.session(session["access_token"])).status == 401
    assert (await person.post("/v1/login/finish", person.prove(begun, state))).status == 410
    assert (await person.login()).status == 200


@pytest.fixture
async def crowd(person: Person, service) -> list[dict]:
    """Sessions of three people: one old, one idle, one with a second factor."""
    sessions = []
    for name in ("old", "idle", "strong"):
        one = Person(person.http, person.url, name)
        await one.register()
        sessions.append((await one.login()).body)
    ids = [session["session"]["id"] for session in sessions]
    changes = ("created_at = now() - INTERVAL '2 days'", "last_seen_at = now() - INTERVAL '1 day'", "aal = 2")
    for session_id, change in zip(ids, changes, strict=True):
        await service.execute(f"UPDATE user_sessions SET {change} WHERE session_id = '{session_id}'")
    return sessions


@pytest.mark.parametrize(
    ("which", "ended"),
    [
        (lambda now, people: {}, {"old", "idle", "strong"}),
        (lambda now, people: {"aal": 1}, {"old", "idle"}),
        (lambda now, people: {"aal": 2}, {"strong"}),
        (lambda now, people: {"created_before": now - timedelta(days=1)}, {"old"}),
        (lambda now, people: {"seen_before": now - timedelta(hours=1)}, {"idle"}),
        (lambda now, people: {"aal": 1, "seen_before": now - timedelta(hours=1)}, {"idle"}),
        (lambda now, people: {"user_id": people[0]}, {"old"}),
        (lambda now, people: {"user_id": people[0], "aal": 2}, set()),
    ],
)
@pytest.mark.parametrize("batch", [1, 500])
async def test_a_filter_ends_what_it_counts_and_nothing_else(
    person: Person, crowd, service, review, monkeypatch, which, ended: set[str], batch: int
) -> None:
    monkeypatch.setattr("cypher.auth.session_review.BATCH", batch)
    chosen = which(datetime.now(UTC), [id_of(session) for session in crowd])
    counted = await review.revoke_matching(**chosen, dry_run=True)
    assert (counted.revoked, counted.dry_run) == (len(ended), True)
    for session in crowd:
        assert (await person.session(session["access_token"])).status == 200
    assert (await review.revoke_matching(**chosen)).revoked == len(ended)
    over = {
        session["session"]["username"]
        for session in crowd
        if (await person.session(session["access_token"])).status == 401
    }
    assert over == ended
    assert (await review.revoke_matching(**chosen, dry_run=True)).revoked == 0


async def test_ending_everybodys_sessions_ends_what_was_begun(person: Person, login, service, review) -> None:
    begun, state = await person.start_login()
    assert (await review.revoke_matching()).revoked == 1
    assert (await person.post("/v1/login/finish", person.prove(begun, state))).status == 410
    assert (await person.login()).status == 200
    assert "admin.sessions.revoked" in await service.audited_actions()


async def test_a_run_that_redis_broke_off_is_completed_by_the_next(
    person: Person, crowd, service, review, monkeypatch
) -> None:
    for session in crowd:
        assert (await person.session(session["access_token"])).status == 200  # it is cached

    async def away(*arguments: object, **options: object) -> None:
        raise RedisUnavailable

    with monkeypatch.context() as patch:
        patch.setattr("cypher.auth.living.LivingSessions.bury", away)
        with pytest.raises(RedisUnavailable):
            await review.revoke_matching(aal=1)
    await review.revoke_matching(aal=1)
    over = [(await person.session(session["access_token"])).status for session in crowd]
    assert over == [401, 401, 200]
