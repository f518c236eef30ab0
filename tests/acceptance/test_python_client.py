"""The Python client against a running service: what the README promises."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import aiohttp
import pytest

from cypher.client import (
    CypherClient,
    Device,
    DeviceInfo,
    FactorExists,
    FactorRequired,
    FlowExpired,
    InvalidCredentials,
    MfaFailed,
    NotFound,
    NotLoggedIn,
    ReauthenticationRequired,
    SessionExpired,
    UsernameTaken,
    ValidationFailed,
    WrongServer,
)
from cypher.clock import SystemClock, new_bytes
from cypher.commands.users import people
from tests.acceptance.authenticator import Authenticator

PASSWORD = "correct hörse battery ステープル"


def new_name() -> str:
    return f"client-{new_bytes(6).hex()}"


@pytest.fixture
async def client(service):
    async with CypherClient(service.url) as opened:
        yield opened


@pytest.fixture
async def person(client):
    """A name that is registered and logged in with `client`."""
    name = new_name()
    await client.register(name, PASSWORD)
    await client.login(name, PASSWORD)
    return name


async def test_a_person_registers_logs_in_is_recognised_refreshes_and_logs_out(client):
    name = new_name()
    user = await client.register(name, PASSWORD)
    assert user.username == name
    assert abs(datetime.now(UTC) - user.created_at) < timedelta(minutes=1)

    session = await client.login(name, PASSWORD)
    assert (session.user_id, session.username, session.aal, session.amr) == (user.id, name, 1, ("opaque",))
    assert session.authenticated_at <= session.idle_expires_at <= session.expires_at
    assert (await client.session()).id == session.id

    before = client.tokens
    await client.refresh()
    assert client.tokens.refresh_token != before.refresh_token
    assert (await client.session()).id == session.id

    await client.logout()
    with pytest.raises(NotLoggedIn):
        await client.session()


async def test_wrong_password_and_unknown_name_look_the_same(client, person):
    for name, password in ((person, "wrong"), (new_name(), PASSWORD)):
        with pytest.raises(InvalidCredentials) as caught:
            await client.login(name, password)
        assert caught.value.code == "invalid_credentials"


async def test_a_name_is_registered_once_and_keeps_its_password(client, person):
    with pytest.raises(UsernameTaken):
        await client.register(person.upper(), "another password")
    assert (await client.login(person, PASSWORD)).username == person


async def test_a_name_that_nobody_may_have_is_refused_with_its_field(client):
    with pytest.raises(ValidationFailed) as caught:
        await client.register("not a name", PASSWORD)
    assert [problem.pointer for problem in caught.value.fields] == ["/username"]
    assert caught.value.request_id


async def test_concurrent_callers_share_one_renewal(client, person):
    stale = client.tokens
    await asyncio.gather(*(client.refresh() for _ in range(16)))
    renewed = client.tokens
    assert renewed.refresh_token != stale.refresh_token
    assert (await client.session()).username == person


async def test_sessions_are_listed_and_revoked_one_by_one(service, client, person):
    async with CypherClient(service.url) as second:
        elsewhere = await second.login(person, PASSWORD)
        listed = await client.sessions()
        assert {session.id for session in listed if not session.current} == {elsewhere.id}
        assert len(listed) == 2
        assert all(session.user_agent.startswith("cypher-python/") for session in listed)

        await client.revoke(elsewhere.id)
        with pytest.raises(SessionExpired):
            await second.session()
        with pytest.raises(NotLoggedIn):
            await second.refresh()
    assert len(await client.sessions()) == 1


async def test_the_others_are_revoked_together(service, client, person):
    async with CypherClient(service.url) as second, CypherClient(service.url) as third:
        await second.login(person, PASSWORD)
        await third.login(person, PASSWORD)
        assert await client.revoke_others() == 2
        for ended in (second, third):
            with pytest.raises(SessionExpired):
                await ended.refresh()
    assert (await client.session()).username == person


async def test_another_persons_session_is_not_found(service, client, person):
    async with CypherClient(service.url) as stranger:
        name = new_name()
        await stranger.register(name, PASSWORD)
        theirs = await stranger.login(name, PASSWORD)
        for session_id in (theirs.id, uuid4()):
            with pytest.raises(NotFound):
                await client.revoke(session_id)
        assert (await stranger.session()).id == theirs.id


async def test_a_session_ended_elsewhere_is_over_here(service, client, person):
    async with CypherClient(service.url) as second:
        await second.login(person, PASSWORD)
        await second.revoke_others()
    await client.logout()  # over already: that is what was wanted
    assert client.tokens is None


async def test_a_second_factor_from_its_enrolment_to_its_end(service, client, person):
    assert not (await client.factors()).totp_enabled
    app = Authenticator((await client.enrol_totp()).secret, SystemClock())
    with pytest.raises(MfaFailed):
        await client.confirm_totp(app.wrong_code())
    codes = await client.confirm_totp(app.code())
    assert (await client.factors()).recovery_codes == 10

    async with CypherClient(service.url) as second:
        with pytest.raises(FactorRequired) as asked:
            await second.login(person, PASSWORD)
        with pytest.raises(NotLoggedIn):
            await second.session()
        with pytest.raises(MfaFailed):
            await second.prove_factor(asked.value, app.wrong_code())
        session = await second.prove_factor(asked.value, app.code(1))
        assert (session.aal, session.amr) == (2, ("opaque", "totp"))
        with pytest.raises(FactorExists):
            await second.enrol_totp()
        await second.refresh()

    # This session has shown its password only.
    with pytest.raises(ReauthenticationRequired):
        await client.renew_recovery_codes()
    with pytest.raises(InvalidCredentials):
        await client.reauthenticate("wrong")
    with pytest.raises(FactorRequired) as asked:
        await client.reauthenticate(PASSWORD)
    before = client.tokens
    renewed = await client.prove_factor(asked.value, codes[0], "recovery_code")
    assert (renewed.aal, renewed.amr) == (2, ("opaque", "recovery_code"))
    assert client.tokens.refresh_token == before.refresh_token
    assert client.tokens.access_token != before.access_token
    assert (await client.session()).aal == 2
    assert set(await client.renew_recovery_codes()).isdisjoint(codes)
    await client.remove_totp()
    assert (await client.login(person, PASSWORD)).aal == 1


async def test_a_device_from_its_first_login_to_its_end(service, client, person):
    laptop = Device(fingerprint="laptop", name="Laptop", info=DeviceInfo(platform="Plan 9"))
    assert client.device_token is None
    first = await client.login(person, PASSWORD, device=laptop)
    kept = client.device_token
    assert kept.startswith("cyd_")
    assert (await client.session()).device_id == first.device_id
    [listed] = await client.devices()
    assert (listed.id, listed.name, listed.trusted_until, listed.current) == (first.device_id, "Laptop", None, True)
    assert (await client.rename_device(first.device_id, "Kitchen")).name == "Kitchen"
    with pytest.raises(ValidationFailed):
        await client.rename_device(first.device_id, "")

    async with CypherClient(service.url, device_token=kept) as again:
        assert (await again.login(person, PASSWORD)).device_id == first.device_id
        assert again.device_token == kept  # a login that names no device leaves it as it is
        await again.login(person, PASSWORD, device=laptop)
        assert again.device_token != kept
        elsewhere = await again.login(person, PASSWORD, device=Device(fingerprint="phone"))
        assert {device.current for device in await again.devices()} == {True, False}
        await client.revoke_device(elsewhere.device_id)
        with pytest.raises(SessionExpired):
            await again.session()
    assert [device.name for device in await client.devices()] == ["Kitchen"]
    for missing in (uuid4(), elsewhere.device_id):
        with pytest.raises(NotFound):
            await client.rename_device(missing, "x")
    with pytest.raises(NotFound):
        await client.revoke_device(uuid4())
    with pytest.raises(ValidationFailed) as refused:
        await client.login(person, PASSWORD, device=Device(fingerprint=""))
    assert [field.pointer for field in refused.value.fields] == ["/device/fingerprint"]


async def test_a_trusted_device_is_not_asked_until_it_is_distrusted(client, person):
    app = Authenticator((await client.enrol_totp()).secret, SystemClock())
    codes = await client.confirm_totp(app.code())
    laptop = Device(fingerprint="laptop")
    with pytest.raises(FactorRequired) as asked:
        await client.login(person, PASSWORD)
    with pytest.raises(ValidationFailed):
        await client.prove_factor(asked.value, codes[0], "recovery_code", trust_device=True)
    with pytest.raises(FactorRequired) as asked:
        await client.login(person, PASSWORD, device=laptop)
    first = await client.prove_factor(asked.value, codes[0], "recovery_code", trust_device=True)
    trusted = await client.login(person, PASSWORD, device=laptop)
    assert (trusted.device_id, trusted.aal, trusted.amr) == (first.device_id, 1, ("opaque",))
    [listed] = await client.devices()
    assert listed.trusted_until > datetime.now(UTC) + timedelta(days=29)
    assert (await client.distrust_device(listed.id)).trusted_until is None
    with pytest.raises(FactorRequired):
        await client.login(person, PASSWORD, device=laptop)


async def test_the_published_key_is_the_one_to_pin(service):
    async with aiohttp.ClientSession() as http, http.get(f"{service.url}/v1/config") as response:
        text = (await response.json())["opaque"]["server_public_key"]
    key = base64.urlsafe_b64decode(text + "=")
    async with CypherClient(service.url, server_public_key=key) as pinned:
        name = new_name()
        await pinned.register(name, PASSWORD)
        assert (await pinned.login(name, PASSWORD)).username == name
    async with CypherClient(service.url, server_public_key=bytes(32)) as fooled:
        with pytest.raises(WrongServer):
            await fooled.register(new_name(), PASSWORD)


async def test_twenty_at_once_leave_one_person_whose_password_works(two_processes):
    # Not in this process: twenty clients stretch their passwords here, and a service would stand still meanwhile.
    name, url = new_name(), two_processes[0]
    clients = [CypherClient(url) for _ in range(20)]

    async def register(client: CypherClient, password: str) -> str | None:
        async with client:
            try:
                await client.register(name, password)
            except (UsernameTaken, FlowExpired):
                return None
            return password

    outcomes = await asyncio.gather(*(register(client, f"password {n}") for n, client in enumerate(clients)))
    won = [password for password in outcomes if password]
    assert len(won) == 1
    async with CypherClient(url) as client:
        assert (await client.login(name, won[0])).username == name


# -- the account ---------------------------------------------------------------------------------------------

NEW_PASSWORD = "ein anderes Pferd"


async def test_another_password_ends_the_others_and_this_session_goes_on(service, client, person):
    async with CypherClient(service.url) as second:
        await second.login(person, PASSWORD)
        await client.change_password(NEW_PASSWORD)
        with pytest.raises(SessionExpired):
            await second.session()
        with pytest.raises(InvalidCredentials):
            await second.login(person, PASSWORD)
        assert (await second.login(person, NEW_PASSWORD)).username == person
        await client.change_password(PASSWORD, revoke_others=False)
        assert (await second.session()).username == person
    assert (await client.session()).username == person


async def test_another_password_is_set_with_the_pinned_server_only(service, client, person):
    async with CypherClient(service.url, server_public_key=bytes(32)) as pinned:
        await pinned.login(person, PASSWORD)
        with pytest.raises(WrongServer):
            await pinned.change_password(NEW_PASSWORD)
        with pytest.raises(WrongServer):
            await pinned.recover(person, "cyv_x", NEW_PASSWORD)
    assert (await client.login(person, PASSWORD)).username == person


async def test_the_account_is_shown_renamed_exported_and_deleted(client, person):
    account = await client.account()
    assert (account.username, account.totp_enabled) == (person, False)
    other = new_name()
    assert (await client.rename(other.upper())).username == other
    assert (await client.session()).username == other
    exported = await client.export_account()
    assert (exported.account.username, len(exported.sessions)) == (other, 1)
    assert exported.sessions[0].user_agent.startswith("cypher-python/")
    await client.delete_account()
    assert client.tokens is None
    with pytest.raises(InvalidCredentials):
        await client.login(other, PASSWORD)
    assert (await client.register(other, PASSWORD)).id != account.id


async def test_a_name_of_somebody_else_is_refused_at_once(client, person):
    taken = new_name()
    await client.register(taken, PASSWORD)
    with pytest.raises(UsernameTaken):
        await client.rename(taken)
    with pytest.raises(ValidationFailed):
        await client.rename("not a name")


async def test_an_account_is_recovered_by_a_token_and_by_nothing_else(service, client, person):
    await client.request_recovery(person)
    await client.request_recovery(new_name())
    user_id = (await client.account()).id
    token = (await people(service.resources).issue_recovery(user_id)).recovery_token
    for name, tried in ((new_name(), token), (person, "cyv_unknown")):
        with pytest.raises(FlowExpired):
            await client.recover(name, tried, NEW_PASSWORD)
    await client.recover(person, token, NEW_PASSWORD)
    with pytest.raises(SessionExpired):
        await client.session()
    assert (await client.login(person, NEW_PASSWORD)).user_id == user_id


async def test_what_needs_a_fresh_proof_says_so(service, client, person):
    await service.execute("UPDATE user_sessions SET authenticated_at = now() - INTERVAL '1 hour'")
    for ask in (lambda: client.change_password("x"), lambda: client.rename("x"), client.delete_account):
        with pytest.raises(ReauthenticationRequired):
            await ask()
    await client.reauthenticate(PASSWORD)
    await client.change_password(NEW_PASSWORD)
