"""Devices over HTTP: known by a login, listed, renamed and taken out of use by their owner."""

import asyncio
import logging
from uuid import UUID

import pytest

from cypher.clock import new_id
from cypher.errors import NotFound, PostgresUnavailable, RedisUnavailable, ValidationFailed
from cypher.repositories.devices import DeviceInfo
from tests.acceptance.person import Person
from tests.factories import CLOCK

LAPTOP = {"fingerprint": "laptop-print", "name": "Laptop", "info": {"platform": "Plan 9", "app": "Mothra/1.0"}}
PHONE = {"fingerprint": "phone-print"}


@pytest.fixture
async def alice(person: Person) -> Person:
    assert (await person.register()).status == 201
    return person


@pytest.fixture
async def bob(person: Person) -> Person:
    bob = Person(person.http, person.url, "bob")
    assert (await bob.register()).status == 201
    return bob


async def devices_of(person: Person, login: dict) -> list[dict]:
    listed = await person.bearing("GET", "/v1/devices", login["access_token"])
    assert listed.status == 200
    return listed.body["items"]


async def change(person: Person, login: dict, device_id: str, **changes: object):
    return await person.bearing("PATCH", f"/v1/devices/{device_id}", login["access_token"], json=changes)


async def revoke(person: Person, login: dict, device_id: str):
    return await person.bearing("DELETE", f"/v1/devices/{device_id}", login["access_token"])


# -- what a login says of its device ------------------------------------------------------------------------


async def test_a_login_that_names_its_device_gets_a_token_and_is_listed(alice: Person, service) -> None:
    login = (await alice.login(device=LAPTOP)).body
    assert login["device_token"].startswith("cyd_")
    assert len(login["device_token"]) == 47
    [device] = await devices_of(alice, login)
    assert device == {
        "id": login["session"]["device_id"],
        "name": "Laptop",
        "trusted_until": None,
        "first_seen_at": device["first_seen_at"],
        "last_seen_at": device["last_seen_at"],
        "current": True,
    }
    assert (await alice.session(login["access_token"])).body["device_id"] == device["id"]
    [session] = (await alice.bearing("GET", "/v1/sessions", login["access_token"])).body["items"]
    assert session["device_id"] == device["id"]
    [added] = await service.audit("device.device.added")
    assert (str(added["user_id"]), str(added["session_id"])) == (login["session"]["user_id"], login["session"]["id"])
    assert (await service.details(added)).note == device["id"]


async def test_a_login_that_names_none_has_none(alice: Person) -> None:
    for chosen in ({}, {"device": None}):
        login = (await alice.login(**chosen)).body
        assert "device_token" not in login
        assert login["session"]["device_id"] is None
    assert await devices_of(alice, login) == []


async def test_a_device_is_found_again_and_gets_a_new_token_each_time(alice: Person, service) -> None:
    logins = [(await alice.login(device=LAPTOP)).body for _ in range(3)]
    logins.append((await alice.login(device=PHONE)).body)
    assert len({login["device_token"] for login in logins}) == 4
    assert len({login["session"]["device_id"] for login in logins[:3]}) == 1
    listed = await devices_of(alice, logins[0])
    assert [(device["name"], device["current"]) for device in listed] == [(None, False), ("Laptop", True)]
    assert len(await service.audit("device.device.added")) == 2
    fingerprints = await service.fetch("SELECT count(*), count(device_fingerprint) FROM user_sessions")
    assert [*fingerprints[0]] == [4, 4]


async def test_two_first_logins_of_one_device_at_once_make_one_of_it(start_service, http, service) -> None:
    other = await start_service()
    people = [Person(http, each.url, "alice") for each in (service, other)]
    await people[0].register()
    for number in range(4):
        device = {"fingerprint": f"print-{number}"}
        started = [(person, *await person.start_login()) for person in people * 3]
        answers = await asyncio.gather(
            *(
                person.post("/v1/login/finish", person.prove(answer, state) | {"device": device})
                for person, answer, state in started
            )
        )
        # Who waits too long for the person's row is asked to come again.
        assert {answer.status for answer in answers} <= {200, 503}
        assert len({answer.body["session"]["device_id"] for answer in answers if answer.status == 200}) == 1
    assert len(await service.audit("device.device.added")) == 4
    assert (await service.fetch("SELECT count(*) FROM devices"))[0]["count"] == 4


async def test_one_fingerprint_of_two_people_is_two_devices(alice: Person, bob: Person) -> None:
    mine, theirs = (await alice.login(device=LAPTOP)).body, (await bob.login(device=LAPTOP)).body
    assert mine["session"]["device_id"] != theirs["session"]["device_id"]
    assert len(await devices_of(alice, mine)) == len(await devices_of(bob, theirs)) == 1


async def test_a_session_is_of_the_device_whose_token_it_began_with(alice: Person, bob: Person) -> None:
    """Or taking a stolen device out of use would leave the thief's session, who did not name it."""
    login = (await alice.login(device=LAPTOP)).body
    unnamed = (await alice.login(login["device_token"])).body
    assert unnamed["session"]["device_id"] == login["session"]["device_id"]
    # It named nothing, and got no new token: the one that it showed goes on.
    assert "device_token" not in unnamed
    assert (await alice.login(login["device_token"])).body["session"]["device_id"] == login["session"]["device_id"]
    theirs = (await bob.login(device=LAPTOP)).body
    for token in (theirs["device_token"], "cyd_" + "A" * 43, "", "cyr_x", "x" * 60_000):
        assert (await alice.login(token)).body["session"]["device_id"] is None


async def test_a_name_its_owner_gave_stays_and_what_a_device_says_of_itself_is_bounded(alice: Person) -> None:
    login = (await alice.login(device=LAPTOP)).body
    device_id = login["session"]["device_id"]
    assert (await change(alice, login, device_id, name="Kitchen")).body["name"] == "Kitchen"
    again = (await alice.login(device=LAPTOP)).body
    assert [device["name"] for device in await devices_of(alice, again)] == ["Kitchen"]
    too_much = [
        ({"fingerprint": ""}, "/device/fingerprint"),
        ({"fingerprint": "x" * 256}, "/device/fingerprint"),
        ({"name": "x"}, "/device/fingerprint"),
        ({"fingerprint": "x", "name": ""}, "/device/name"),
        ({"fingerprint": "x", "name": "x" * 101}, "/device/name"),
        ({"fingerprint": "x", "info": {"app": "x" * 201}}, "/device/info/app"),
        ({"fingerprint": "x", "info": "x"}, "/device/info"),
        ("x", "/device"),
    ]
    started, state = await alice.start_login()
    for device, pointer in too_much:
        refused = await alice.post("/v1/login/finish", alice.prove(started, state) | {"device": device})
        assert (refused.status, refused.body["code"]) == (422, "validation_failed")
        assert [error["pointer"] for error in refused.body["errors"]] == [pointer]
    # Nothing was lost by it.
    assert (await alice.post("/v1/login/finish", alice.prove(started, state) | {"device": PHONE})).status == 200


async def test_a_login_that_redis_brings_back_leaves_the_token_as_it_is(alice: Person, service) -> None:
    first = (await alice.login(device=LAPTOP)).body
    started, state = await alice.start_login(first["device_token"])
    kept = await service.take_from_redis("login")
    await service.bring_back_to_redis(kept)
    proof = alice.prove(started, state) | {"device": LAPTOP}
    login = (await alice.post("/v1/login/finish", proof)).body
    before = await service.fetch("SELECT token_hash, token_expires_at FROM devices")
    await service.bring_back_to_redis(kept)
    assert (await alice.post("/v1/login/finish", proof)).status == 410
    assert await service.fetch("SELECT token_hash, token_expires_at FROM devices") == before
    assert (await alice.login(login["device_token"])).body["session"]["device_id"] == login["session"]["device_id"]


# -- what their owner does ----------------------------------------------------------------------------------


async def test_a_device_is_renamed_and_recorded(alice: Person, service) -> None:
    login = (await alice.login(device=PHONE)).body
    device_id = login["session"]["device_id"]
    renamed = await change(alice, login, device_id, name="Zoë's phone")
    assert (renamed.status, renamed.body["name"], renamed.body["current"]) == (200, "Zoë's phone", True)
    assert await devices_of(alice, login) == [renamed.body]
    assert len(await service.audit("device.device.renamed")) == 1
    assert (await change(alice, login, device_id)).body == renamed.body
    assert (await change(alice, login, device_id, trusted=False)).body == renamed.body
    assert await service.audit("device.trust.ended") == []
    for wrong in ({"name": ""}, {"name": "x" * 101}, {"name": None}, {"name": 1}, {"trusted": True}, {"trusted": None}):
        refused = await change(alice, login, device_id, **wrong)
        assert (refused.status, refused.body["code"]) == (422, "validation_failed"), wrong
    assert await devices_of(alice, login) == [renamed.body]


async def test_a_revoked_device_takes_its_sessions_and_its_token_along(start_service, alice: Person, service) -> None:
    elsewhere = await start_service()
    laptop, phone = (await alice.login(device=LAPTOP)).body, (await alice.login(device=PHONE)).body
    again = (await alice.login(laptop["device_token"], device=LAPTOP)).body
    nameless = (await alice.login()).body
    for login in (laptop, phone, again, nameless):
        assert (await alice.session(login["access_token"])).status == 200
    assert (await revoke(alice, phone, laptop["session"]["device_id"])).status == 204
    for url in (service.url, elsewhere.url):
        alice.url = url
        for login, status in ((laptop, 401), (again, 401), (phone, 200), (nameless, 200)):
            assert (await alice.session(login["access_token"])).status == status
    assert (await alice.refresh(again["refresh_token"])).status == 400
    assert [device["id"] for device in await devices_of(alice, phone)] == [phone["session"]["device_id"]]
    assert (await alice.login(again["device_token"])).body["session"]["device_id"] is None
    [revoked] = await service.audit("device.device.revoked")
    assert str(revoked["session_id"]) == phone["session"]["id"]
    # Asked again, it is done; as another thing than a device out of use it is not there.
    assert (await revoke(alice, phone, laptop["session"]["device_id"])).status == 204
    assert len(await service.audit("device.device.revoked")) == 1
    assert (await change(alice, phone, laptop["session"]["device_id"], name="x")).status == 404


async def test_the_device_at_hand_can_be_revoked_and_comes_back_as_a_new_one(alice: Person, service) -> None:
    login = (await alice.login(device=LAPTOP)).body
    assert (await change(alice, login, login["session"]["device_id"], name="Kitchen")).status == 200
    assert (await revoke(alice, login, login["session"]["device_id"])).status == 204
    assert (await alice.session(login["access_token"])).body["code"] == "session_expired"
    back = (await alice.login(login["device_token"], device=LAPTOP)).body
    assert back["session"]["device_id"] != login["session"]["device_id"]
    assert [device["name"] for device in await devices_of(alice, back)] == ["Laptop"]
    assert len(await service.audit("device.device.added")) == 2


async def test_a_login_under_way_from_a_device_that_is_revoked_is_one_from_a_new_device(alice: Person) -> None:
    laptop, phone = (await alice.login(device=LAPTOP)).body, (await alice.login(device=PHONE)).body
    started, state = await alice.start_login(laptop["device_token"])
    assert (await revoke(alice, phone, laptop["session"]["device_id"])).status == 204
    unnamed = (await alice.post("/v1/login/finish", alice.prove(started, state))).body
    assert unnamed["session"]["device_id"] is None


async def test_racing_logins_and_revocations_leave_no_session_of_a_revoked_device(alice: Person, service) -> None:
    owner = (await alice.login()).body
    for _ in range(6):
        login = (await alice.login(device=LAPTOP)).body
        started, state = await alice.start_login(login["device_token"])
        finished, revoked = await asyncio.gather(
            alice.post("/v1/login/finish", alice.prove(started, state) | {"device": LAPTOP}),
            revoke(alice, owner, login["session"]["device_id"]),
        )
        assert finished.status in (200, 503)
        assert revoked.status in (204, 503)
        if (finished.status, revoked.status) != (200, 204):  # one has waited too long for the other
            continue
        is_over = finished.body["session"]["device_id"] == login["session"]["device_id"]
        assert (await alice.session(finished.body["access_token"])).status == (401 if is_over else 200)
    alive = "SELECT d.id FROM devices d JOIN user_sessions s ON s.device_id = d.id AND s.revoked_at IS NULL"
    assert await service.fetch(f"{alive} WHERE d.revoked_at IS NOT NULL") == []


async def test_a_revocation_that_met_no_redis_is_asked_for_again(alice: Person, service, monkeypatch) -> None:
    laptop, phone = (await alice.login(device=LAPTOP)).body, (await alice.login(device=PHONE)).body
    assert (await alice.session(laptop["access_token"])).status == 200

    async def away(*_: object, **__: object) -> None:
        raise RedisUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(service.services.devices._living._cache, "bury", away)
        refused = await revoke(alice, phone, laptop["session"]["device_id"])
    assert (refused.status, refused.body["code"]) == (503, "dependency_unavailable")
    assert (await alice.session(laptop["access_token"])).status == 200  # the cache, for seconds
    assert (await revoke(alice, phone, laptop["session"]["device_id"])).status == 204
    assert (await alice.session(laptop["access_token"])).status == 401


async def test_another_persons_device_is_not_found(alice: Person, bob: Person, service) -> None:
    mine, theirs = (await alice.login(device=LAPTOP)).body, (await bob.login(device=PHONE)).body
    for device_id in (theirs["session"]["device_id"], str(new_id(CLOCK)), "x", "%00"):
        for answer in (
            await change(alice, mine, device_id, name="stolen", trusted=False),
            await revoke(alice, mine, device_id),
        ):
            assert (answer.status, answer.body["code"]) == (404, "not_found")
    assert (await bob.session(theirs["access_token"])).status == 200
    assert [device["name"] for device in await devices_of(bob, theirs)] == [None]
    for event in ("device.device.renamed", "device.device.revoked", "device.trust.ended"):
        assert await service.audit(event) == []


# -- the seed's call ----------------------------------------------------------------------------------------


async def test_register_device_notes_a_device_once_and_gives_nothing(alice: Person, service) -> None:
    login = (await alice.login(device=LAPTOP)).body
    token = await service.fetch("SELECT token_hash FROM devices")
    devices, user_id = service.services.devices, UUID(login["session"]["user_id"])
    info = DeviceInfo(platform="Plan 9", model="x")
    seen = [
        await devices.register_device(user_id=user_id, device_fingerprint=fingerprint, device_info=info)
        for fingerprint in ("laptop-print", "another", "another")
    ]
    assert str(seen[0].id) == login["session"]["device_id"]
    assert seen[0].info == seen[1].info == info
    assert seen[1].id == seen[2].id
    assert (seen[1].name, seen[1].trusted_until) == (None, None)
    assert await service.fetch("SELECT token_hash FROM devices WHERE token_hash IS NOT NULL") == token
    added = await service.audit("device.device.added")
    assert [entry["actor_type"] for entry in added] == ["user", "service"]
    racing = (devices.register_device(user_id=user_id, device_fingerprint="racing", device_info=None) for _ in range(8))
    met = await asyncio.gather(*racing, return_exceptions=True)
    # Who waits too long for the person's row is to come again.
    assert len({each.id for each in met if not isinstance(each, PostgresUnavailable)}) == 1
    for fingerprint, info in (("", None), ("x" * 256, None), ("x", DeviceInfo(model="x" * 201))):
        with pytest.raises(ValidationFailed):
            await devices.register_device(user_id=user_id, device_fingerprint=fingerprint, device_info=info)
    with pytest.raises(NotFound):
        await devices.register_device(user_id=new_id(CLOCK), device_fingerprint="x", device_info=None)


# -- what stays secret --------------------------------------------------------------------------------------


async def test_neither_log_nor_trail_tells_a_token_a_fingerprint_or_a_name(alice: Person, service, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    device = {"fingerprint": "canary-print", "name": "canary-name", "info": {"model": "canary-model"}}
    login = (await alice.login(device=device)).body
    again = (await alice.login(login["device_token"], device=device)).body
    await change(alice, again, again["session"]["device_id"], name="canary-again")
    await revoke(alice, again, again["session"]["device_id"])
    written = caplog.text
    for entry in await service.fetch("SELECT * FROM audit_logs"):
        written += repr(await service.details(entry))
    assert "127.0.0.1" in written
    for secret in (login["device_token"], again["device_token"], "canary"):
        assert secret not in written
