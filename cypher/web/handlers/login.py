"""Login in two steps."""

from aiohttp import web

from cypher.auth.opaque import KE1, KE3
from cypher.web.answers import answer
from cypher.web.body import read
from cypher.web.encoding import opaque_message, to_base64url
from cypher.web.keys import SERVICES
from cypher.web.schema import Authenticated, LoginFinish, LoginStart, LoginStarted
from cypher.web.source import source_of


async def start(request: web.Request) -> web.Response:
    """POST /v1/login/start."""
    body = await read(request, LoginStart)
    ke1 = opaque_message(body.ke1, KE1)
    started = await request.app[SERVICES].login.start(body.username, ke1, source_of(request))
    return answer(LoginStarted(flow_id=started.flow_id, ke2=to_base64url(started.ke2), expires_in=started.expires_in))


async def finish(request: web.Request) -> web.Response:
    """POST /v1/login/finish."""
    body = await read(request, LoginFinish)
    ke3 = opaque_message(body.ke3, KE3)
    done = await request.app[SERVICES].login.finish(body.flow_id, ke3, source_of(request))
    return answer(
        Authenticated(
            session=done.session,
            access_token=done.access_token,
            expires_in=done.expires_in,
            refresh_token=done.refresh_token,
        )
    )
