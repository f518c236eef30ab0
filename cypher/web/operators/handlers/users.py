"""What an operator does about people. Passwords and secrets are neither seen nor set here."""

from http import HTTPStatus

from aiohttp import web
from msgspec import UNSET

from cypher.auth.people import InvitedUser, RecoveryToken, UserPage, UserView
from cypher.errors import AccountDisabled, AccountLocked, UsernameTaken
from cypher.web.answers import answer, no_content
from cypher.web.body import read, read_query
from cypher.web.endpoint import endpoint
from cypher.web.identifiers import id_in_path
from cypher.web.keys import OPERATIONS
from cypher.web.operators.schema import NewUser, UserQuery
from cypher.web.source import source_of


@endpoint(query=UserQuery, answers={200: UserPage})
async def list_all(request: web.Request) -> web.Response:
    """GET /admin/v1/users: people, oldest first, or the one of a name.

    Names are sealed: one is found as a whole, in any of its spellings, or not at all.
    """
    people, query = request.app[OPERATIONS].people, read_query(request, UserQuery)
    if query.username is not UNSET:
        return answer(await people.named(query.username))
    return answer(await people.list_users(cursor=query.cursor or None))


@endpoint(reads=NewUser, answers={201: InvitedUser}, raises=(UsernameTaken,))
async def create(request: web.Request) -> web.Response:
    """POST /admin/v1/users: make somebody, also while registration is closed.

    The token, shown once, is for `/v1/recovery/start` and `/finish`: by it they choose a password.
    """
    body = await read(request, NewUser)
    made = await request.app[OPERATIONS].people.create(body.username, source=source_of(request))
    return answer(made, status=HTTPStatus.CREATED)


@endpoint(answers={200: UserView})
async def show(request: web.Request) -> web.Response:
    """GET /admin/v1/users/{id}: one person."""
    return answer(await request.app[OPERATIONS].people.get(id_in_path(request)))


@endpoint(answers={204: None})
async def delete(request: web.Request) -> web.Response:
    """DELETE /admin/v1/users/{id}: delete somebody and all that is kept of them.

    Their sessions end now, their name is free.
    """
    await request.app[OPERATIONS].people.delete(id_in_path(request), source=source_of(request))
    return no_content()


@endpoint(answers={200: UserView})
async def lock(request: web.Request) -> web.Response:
    """POST /admin/v1/users/{id}/lock: keep somebody out for a day; asked again, for a day from now.

    Their sessions and recovery tokens end now.
    """
    return answer(await request.app[OPERATIONS].people.lock(id_in_path(request), source=source_of(request)))


@endpoint(answers={200: UserView})
async def unlock(request: web.Request) -> web.Response:
    """POST /admin/v1/users/{id}/unlock: end a lock."""
    return answer(await request.app[OPERATIONS].people.unlock(id_in_path(request), source=source_of(request)))


@endpoint(answers={200: UserView})
async def disable(request: web.Request) -> web.Response:
    """POST /admin/v1/users/{id}/disable: keep somebody out until they are enabled.

    Their sessions and recovery tokens end now.
    """
    return answer(await request.app[OPERATIONS].people.disable(id_in_path(request), source=source_of(request)))


@endpoint(answers={200: UserView})
async def enable(request: web.Request) -> web.Response:
    """POST /admin/v1/users/{id}/enable: let somebody in again."""
    return answer(await request.app[OPERATIONS].people.enable(id_in_path(request), source=source_of(request)))


@endpoint(answers={204: None})
async def reset_factors(request: web.Request) -> web.Response:
    """POST /admin/v1/users/{id}/reset-factors: take away a second factor, recovery codes and failed attempts.

    From then on the password alone opens the account, until its owner enrols a factor again.
    """
    await request.app[OPERATIONS].factors.reset(id_in_path(request), source_of(request))
    return no_content()


@endpoint(answers={201: RecoveryToken}, raises=(AccountDisabled, AccountLocked))
async def recover(request: web.Request) -> web.Response:
    """POST /admin/v1/users/{id}/recovery: make a token, shown once, by which somebody chooses another password."""
    people = request.app[OPERATIONS].people
    made = await people.issue_recovery(id_in_path(request), source=source_of(request))
    return answer(made, status=HTTPStatus.CREATED)
