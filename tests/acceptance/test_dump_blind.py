"""A stolen database is worthless: nothing that was sent stands in PostgreSQL or Redis in a form that can be read.

Nor does the log tell it.
"""

import base64
import secrets
from collections.abc import Iterator

import pytest

from cypher.clock import SystemClock
from cypher.crypto.keyring import Purpose
from cypher.operating import people
from tests.acceptance.authenticator import enrol, prove
from tests.acceptance.new_passwords import id_of, start_change, start_recovery
from tests.acceptance.person import Person
from tests.acceptance.service import DEFAULT_LIMITS

ADDRESS = "203.0.113.177"
USER_AGENT = "CanaryBrowser/9.81 (plain to see)"
USERNAME = "canary.zoë.username"
DEVICE = {
    "fingerprint": "canary-fingerprint-0123456789",
    "name": "Canary's läptop",
    "info": {"platform": "CanaryOS 7", "model": "Canary Mark II", "app": "CanaryApp/3"},
}


def spellings(needle: bytes) -> Iterator[bytes]:
    """Yield a value as it could stand in a dump: raw, hex, and base64 at each of its three alignments."""
    yield needle
    yield needle.hex().encode()
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + needle)
        inner = encoded[4 if shift else 0 : len(encoded) // 4 * 4 - 4]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def found(needle: bytes, haystack: bytes) -> bool:
    lowered = haystack.lower()
    return any(each.lower() in lowered for each in spellings(needle))


@pytest.mark.parametrize("key_store", ["directory", "postgres"])
async def test_what_people_send_stands_nowhere_in_the_clear(start_service, key_store: str, caplog) -> None:
    caplog.set_level("DEBUG", "cypher")
    password = secrets.token_urlsafe(32)
    settings = {"TRUSTED_PROXIES": "127.0.0.0/8", "KEY_STORE": key_store, "MASTER_ENCRYPTION_PASSWORD": password}
    service = await start_service(**settings, **DEFAULT_LIMITS)
    headers = {"X-Forwarded-For": ADDRESS, "User-Agent": USER_AGENT}
    async with service.client(headers=headers) as session:
        person = Person(session, service.url, USERNAME)
        started, state = await person.start_registration()
        await person.finish_registration(started, state)
        waiting_login, _ = await person.start_login()
        login = (await person.login(device=DEVICE)).body
        known, _ = await person.start_login(login["device_token"])
        fresh = (await person.refresh(login["refresh_token"])).body
        await person.session(login["access_token"])
        listed = await person.bearing("GET", "/v1/sessions", fresh["access_token"])
        await person.ask("POST", "/oauth/revoke", data={"token": login["access_token"]})
        wrong = Person(session, service.url, "canary.unknown.name")
        await wrong.start_login()
        app, codes = await enrol(person, fresh["access_token"], SystemClock())
        asked = await person.login(login["device_token"], device=DEVICE)
        renamed = "canary.renamed.device"
        path = f"/v1/devices/{login['session']['device_id']}"
        await person.bearing("PATCH", path, fresh["access_token"], json={"name": renamed})
        await person.session(fresh["access_token"])
        handed_over = await people(service.resources).issue_recovery(id_of(login))
        waiting_recovery, _ = await start_recovery(person, handed_over.recovery_token)
        waiting_password, _ = await start_change(
            person, (await prove(person, asked, codes[1], "recovery_code")).body["access_token"]
        )
        await person.post("/v1/recovery/request", {"username": "canary.asked.name"})
        invited = await people(service.resources).create("canary.invited.name")
    assert listed.body["items"][0]["ip_address"] == ADDRESS
    assert listed.body["items"][0]["user_agent"] == USER_AGENT

    record = await service.record_of(USERNAME)
    assert len(record) == 192
    canaries = {
        "username": USERNAME.encode(),
        "unknown name": b"canary.unknown.name",
        "address": ADDRESS.encode(),
        "user agent": USER_AGENT.encode(),
        "device fingerprint": DEVICE["fingerprint"].encode(),
        "device name": DEVICE["name"].encode(),
        "device name, renamed": renamed.encode(),
        **{f"device {fact}": said.encode() for fact, said in DEVICE["info"].items()},
        "device token": login["device_token"].encode(),
        "device token, its random bytes": base64.urlsafe_b64decode(login["device_token"][4:] + "="),
        "flow of a known device": known.body["flow_id"].encode(),
        "password": person.password,
        "refresh token": login["refresh_token"].encode(),
        "fresh refresh token": fresh["refresh_token"].encode(),
        "access token": fresh["access_token"].encode(),
        "login flow": waiting_login.body["flow_id"].encode(),
        "registration flow": started.body["flow_id"].encode(),
        "second step": asked.body["mfa_token"].encode(),
        "TOTP secret": base64.b32decode(app.secret),
        "TOTP secret as shown": app.secret.encode(),
        "recovery token": handed_over.recovery_token.encode(),
        "invitation": invited.recovery_token.encode(),
        "recovery flow": waiting_recovery.body["flow_id"].encode(),
        "password flow": waiting_password.body["flow_id"].encode(),
        "name that asked for a token": b"canary.asked.name",
        "invited name": b"canary.invited.name",
        "recovery code": bytes.fromhex(codes[0].replace("-", "")),
        "recovery code as shown": codes[0].encode(),
        "record, begin": record[:32],
        "record, end": record[-64:],
        "setup": service.setup()[:64],
        "data key": service.resources.ring.primary(Purpose.DATA).secret,
        "master password": password.encode(),
    }
    dump, values = await service.dump(), await service.redis_content()
    assert "COPY public.users" in dump
    assert len(values) > 500
    assert "POST /v1/login/finish 200" in caplog.text
    places = {"dump": dump.encode(), "Redis": values, "log": caplog.text.encode()}
    hits = [(name, place) for place, content in places.items() for name in canaries if found(canaries[name], content)]
    assert hits == []


async def test_a_canary_in_the_clear_would_be_found(service) -> None:
    needle = "canary-in-the-clear"
    padded = [base64.b64encode(bytes(shift) + needle.encode()).decode() for shift in range(3)]
    plants = [f"'{needle.upper()}'", f"convert_to('{needle}', 'UTF8')::text", *(f"'{text}'" for text in padded)]
    for plant in plants:
        await service.execute(f"CREATE TABLE planted AS SELECT ({plant})::text AS note")
        try:
            assert found(needle.encode(), (await service.dump()).encode()), plant
        finally:
            await service.execute("DROP TABLE planted")
    await service.plant_in_redis(needle.encode())
    assert found(needle.encode(), await service.redis_content())
