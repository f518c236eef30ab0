"""What may happen between the two steps of a flow, so that it must not end."""

from datetime import timedelta
from typing import Any

from cypher.commands.users import people
from tests.acceptance.new_passwords import change, id_of, recover
from tests.acceptance.person import Person

Login = dict[str, Any]


async def another_password(person: Person, service: Any, login: Login) -> None:
    other = (await person.login()).body
    assert (await change(person, other["access_token"], b"third", revoke_other_sessions=False)).status == 204


async def others_ended(person: Person, service: Any, login: Login) -> None:
    assert (await person.bearing("DELETE", "/v1/sessions?scope=others", login["access_token"])).status == 200


async def all_ended(person: Person, service: Any, login: Login) -> None:
    assert (await person.bearing("DELETE", "/v1/sessions?scope=all", login["access_token"])).status == 200


async def a_lock(person: Person, service: Any, login: Login) -> None:
    await people(service.resources).lock(id_of(login), lifetime=timedelta(hours=1))


async def a_lock_that_passed(person: Person, service: Any, login: Login) -> None:
    await a_lock(person, service, login)
    await people(service.resources).unlock(id_of(login))


async def a_disabling(person: Person, service: Any, login: Login) -> None:
    await people(service.resources).disable(id_of(login))


async def a_disabling_for_a_while(person: Person, service: Any, login: Login) -> None:
    await a_disabling(person, service, login)
    await people(service.resources).enable(id_of(login))


async def a_recovery(person: Person, service: Any, login: Login) -> None:
    token = await people(service.resources).issue_recovery(id_of(login))
    assert (await recover(person, token.recovery_token, b"third")).status == 204
