"""What `schemathesis` loads: a credential for each request it makes.

Some routes end the session that calls them, or its owner, so each request gets a token that holds at that moment.
"""

import asyncio
import os
from itertools import count

import aiohttp
import schemathesis

from tests.acceptance.person import Person

URL = os.environ["CYPHER_URL"]
SERVICE_TOKEN = os.environ["CYPHER_SERVICE_TOKEN"]


class Bearer:
    """Sets the header; what is sent in it differs."""

    def set(self, case: schemathesis.Case, token: str, context: schemathesis.AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {token}"


@schemathesis.auth(refresh_interval=None).apply_to(schemathesis.openapi.require_security_scheme("accessToken"))
class AccessToken(Bearer):
    """The token of a throw-away person, and of another one when the last request ended the session or its owner."""

    token = ""
    people = count()

    def get(self, case: schemathesis.Case, context: schemathesis.AuthContext) -> str:
        self.token = asyncio.run(self._living_token())
        return self.token

    async def _living_token(self) -> str:
        async with aiohttp.ClientSession() as http:
            person = Person(http, URL, f"throw-away-{next(self.people)}")
            if self.token and (await person.session(self.token)).status == 200:
                return self.token
            await person.register()
            login = await person.login()
            return str(login.body["access_token"])


@schemathesis.auth(refresh_interval=None).apply_to(schemathesis.openapi.require_security_scheme("serviceToken"))
class ServiceToken(Bearer):
    """A token that lives as long as the run."""

    def get(self, case: schemathesis.Case, context: schemathesis.AuthContext) -> str:
        return SERVICE_TOKEN
