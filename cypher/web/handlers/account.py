"""A person's account: what is kept of it, its name, its end."""

from aiohttp import web

from cypher.auth.account import AccountView
from cypher.auth.export import AccountExport
from cypher.errors import UsernameTaken
from cypher.web.account_schema import AccountChange
from cypher.web.answers import answer, no_content
from cypher.web.body import read
from cypher.web.endpoint import endpoint
from cypher.web.keys import SERVICES
from cypher.web.source import bearer_of, source_of


@endpoint(answers={200: AccountView})
async def show(request: web.Request) -> web.Response:
    """GET /v1/account: the account of this session."""
    services = request.app[SERVICES]
    validated = await services.sessions.validate(bearer_of(request))
    return answer(await services.account.show(validated.session))


@endpoint(reads=AccountChange, answers={200: AccountView}, raises=(UsernameTaken,))
async def change(request: web.Request) -> web.Response:
    """PATCH /v1/account: give the account another name."""
    services = request.app[SERVICES]
    validated = await services.sessions.validate(bearer_of(request))
    body = await read(request, AccountChange)
    return answer(await services.account.rename(validated.session, body.username, source_of(request)))


@endpoint(answers={200: AccountExport})
async def export(request: web.Request) -> web.Response:
    """GET /v1/account/export: all that is kept of this person, opened."""
    services = request.app[SERVICES]
    validated = await services.sessions.validate(bearer_of(request))
    return answer(await services.export.export(validated.session, source_of(request)))


@endpoint(answers={204: None})
async def delete(request: web.Request) -> web.Response:
    """DELETE /v1/account: delete the account and all that is kept of it; its sessions end, its name is free."""
    services = request.app[SERVICES]
    validated = await services.sessions.validate(bearer_of(request))
    await services.account.delete(validated.session, source_of(request))
    return no_content()
