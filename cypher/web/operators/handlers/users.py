"""What an operator does for people. Passwords and secrets are neither seen nor set here."""

from aiohttp import web

from cypher.web.answers import no_content
from cypher.web.endpoint import endpoint
from cypher.web.identifiers import id_in_path
from cypher.web.keys import OPERATIONS
from cypher.web.source import source_of


@endpoint(answers={204: None})
async def reset_factors(request: web.Request) -> web.Response:
    """POST /admin/v1/users/{id}/reset-factors: take away a second factor, recovery codes and failed attempts.

    From then on the password alone opens the account, until its owner enrols a factor again.
    """
    await request.app[OPERATIONS].factors.reset(id_in_path(request), source_of(request))
    return no_content()
