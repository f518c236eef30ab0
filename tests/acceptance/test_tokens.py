"""Refresh, introspection, revocation: once, everywhere, at once."""

import asyncio
from collections import Counter

import jwt

from cypher.auth.service_tokens import ServiceTokens
from cypher.clock import SystemClock
from cypher.crypto.keyring import Purpose
from cypher.crypto.signing import private_key
from tests.acceptance.person import Person


async def age_refresh_tokens(service, seconds: int) -> None:
    await service.execute(f"UPDATE refresh_tokens SET consumed_at = consumed_at - interval '{seconds} seconds'")


async def test_the_same_refresh_token_within_the_grace_gives_the_same_successor(person: Person) -> None:
    await person.register()
    login = (await person.login()).body
    answers = await asyncio.gather(*(person.refresh(login["refresh_token"]) for _ in range(16)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body["refresh_token"] for answer in answers}) == 1
    assert (await person.refresh(answers[0].body["refresh_token"])).status == 200


async def test_a_refresh_token_used_again_after_the_grace_ends_the_session(person: Person, service) -> None:
    await person.register()
    login = (await person.login()).body
    fresh = (await person.refresh(login["refresh_token"])).body
    await age_refresh_tokens(service, 11)
    reused = await person.refresh(login["refresh_token"])
    assert (reused.status, reused.body["error"]) == (400, "invalid_grant")
    assert (await person.session(fresh["access_token"])).status == 401
    assert (await person.refresh(fresh["refresh_token"])).status == 400
    assert "token.refresh.reused" in await service.audited_actions()


async def test_a_grandparent_has_no_grace(person: Person) -> None:
    await person.register()
    login = (await person.login()).body
    child = (await person.refresh(login["refresh_token"])).body
    await person.refresh(child["refresh_token"])
    assert (await person.refresh(login["refresh_token"])).status == 400
    assert (await person.session(login["access_token"])).status == 401


async def test_fifty_rounds_of_logout_against_refresh_leave_nothing_that_works(person: Person) -> None:
    await person.register()
    outcomes: Counter[int] = Counter()
    for _ in range(50):
        login = (await person.login()).body
        refreshed, gone = await asyncio.gather(
            person.refresh(login["refresh_token"]),
            person.bearing("DELETE", "/v1/session", login["access_token"]),
        )
        assert gone.status == 204
        outcomes[refreshed.status] += 1
        if refreshed.status == 200:
            assert (await person.session(refreshed.body["access_token"])).status == 401
            assert (await person.refresh(refreshed.body["refresh_token"])).status == 400
        assert (await person.refresh(login["refresh_token"])).status == 400
    assert sum(outcomes.values()) == 50


async def test_an_ended_access_token_is_refused_and_its_session_goes_on(person: Person) -> None:
    await person.register()
    login = (await person.login()).body
    await person.session(login["access_token"])
    assert (await person.ask("POST", "/oauth/revoke", data={"token": login["access_token"]})).status == 200
    refused = await person.session(login["access_token"])
    assert (refused.status, refused.body["code"]) == (401, "unauthenticated")
    assert (await person.bearing("DELETE", "/v1/session", login["access_token"])).status == 401
    fresh = (await person.refresh(login["refresh_token"])).body
    assert (await person.session(fresh["access_token"])).status == 200


async def test_a_token_is_blacklisted_that_has_ended_whose_session_has_ended_or_that_was_never_ours(
    person: Person, service
) -> None:
    await person.register()
    ended, logged_out, living = [(await person.login()).body["access_token"] for _ in range(3)]
    is_blacklisted = service.services.token_blacklist.is_token_blacklisted
    assert [await is_blacklisted(token) for token in (ended, logged_out, living)] == [False] * 3
    await person.ask("POST", "/oauth/revoke", data={"token": ended})
    await person.bearing("DELETE", "/v1/session", logged_out)
    assert [await is_blacklisted(token) for token in (ended, logged_out, living)] == [True, True, False]
    assert await is_blacklisted(f"{living[:-4]}AAAA")
    assert await is_blacklisted("")


async def test_a_revoked_refresh_token_ends_its_session(person: Person) -> None:
    await person.register()
    login = (await person.login()).body
    assert (await person.ask("POST", "/oauth/revoke", data={"token": login["refresh_token"]})).status == 200
    assert (await person.session(login["access_token"])).body["code"] == "session_expired"


async def test_revoking_what_is_no_token_is_no_error(person: Person) -> None:
    for token in ("x", "cyr_" + "A" * 43, "a.b.c", "é"):
        assert (await person.ask("POST", "/oauth/revoke", data={"token": token})).status == 200


async def test_introspection_needs_a_service_token_and_tells_what_holds_now(person: Person, service) -> None:
    await person.register()
    login = (await person.login()).body
    opened = service.resources
    tokens = ServiceTokens(db=opened.db, audit=opened.audit, clock=SystemClock())
    token_id, value = await tokens.create("backend", frozenset({"introspect"}), None)
    headers = {"Authorization": f"Bearer {value}"}

    async def introspect(token: str):
        return await person.ask("POST", "/oauth/introspect", data={"token": token}, headers=headers)

    answer = await introspect(login["access_token"])
    assert answer.status == 200
    assert answer.body["active"] is True
    assert answer.body["sid"] == login["session"]["id"]
    assert answer.body["amr"] == ["opaque"]
    assert (await introspect("nonsense")).body == {"active": False}
    assert (await introspect(login["refresh_token"])).body == {"active": False}
    await person.bearing("DELETE", "/v1/session", login["access_token"])
    assert (await introspect(login["access_token"])).body == {"active": False}

    anonymous = await person.ask("POST", "/oauth/introspect", data={"token": "x"})
    assert anonymous.status == 401
    await tokens.revoke(token_id)
    assert (await introspect("x")).status == 401
    assert value not in await service.dump()


async def test_another_service_can_check_an_access_token_with_the_published_keys(person: Person, service) -> None:
    await person.register()
    login = (await person.login()).body
    jwks = (await person.ask("GET", "/.well-known/jwks.json")).body
    kid = jwt.get_unverified_header(login["access_token"])["kid"]
    key = next(jwk for jwk in jwks["keys"] if jwk["kid"] == kid)
    origin = service.config.http.public_origin
    claims = jwt.decode(login["access_token"], jwt.PyJWK(key).key, algorithms=["EdDSA"], audience=origin, issuer=origin)
    assert claims["sub"] == login["session"]["user_id"]
    assert claims["exp"] - claims["iat"] == 300
    assert jwt.get_unverified_header(login["access_token"])["typ"] == "at+jwt"
    assert "d" not in key


async def test_tokens_with_another_signature_type_or_algorithm_are_refused(person: Person) -> None:
    await person.register()
    token = (await person.login()).body["access_token"]
    head, body, signature = token.split(".")
    payload = jwt.decode(token, options={"verify_signature": False})
    forged = [
        jwt.encode(payload, "", algorithm="none"),
        jwt.encode(payload, "x" * 32, algorithm="HS256", headers={"kid": jwt.get_unverified_header(token)["kid"]}),
        f"{head}.{body}.{signature[::-1]}",
        f"{head}.{body}.",
        "a.b",
        "x" * 4000,
    ]
    for each in forged:
        assert (await person.session(each)).status == 401


async def test_what_our_own_keys_sign_for_something_else_is_no_access_token(person: Person, service) -> None:
    await person.register()
    payload = jwt.decode((await person.login()).body["access_token"], options={"verify_signature": False})
    ring = service.resources.ring

    async def status_of(purpose: Purpose, **header: str) -> int:
        key = ring.primary(purpose)
        token = jwt.encode(payload, private_key(key), algorithm="EdDSA", headers={"kid": key.id, **header})
        return (await person.session(token)).status

    assert await status_of(Purpose.SIGNING, typ="at+jwt") == 200
    assert await status_of(Purpose.SIGNING, typ="JWT") == 401
    assert await status_of(Purpose.SIGNING, typ="at+jwt", kid=ring.primary(Purpose.DATA).id) == 401
    assert await status_of(Purpose.SIGNING, typ="at+jwt", kid="signing-20260101-00000000") == 401
    assert await status_of(Purpose.AUDIT, typ="at+jwt") == 401
