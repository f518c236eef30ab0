"""Ids in paths."""

import re
from uuid import UUID

from aiohttp import web

from cypher.errors import NotFound

#: Only the form that we write ourselves: Python's reader also takes braces, "urn:uuid:" and no hyphens at all.
UUID_FORM = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


def id_in_path(request: web.Request) -> UUID:
    """Return `{id}`; raise NotFound for what is none."""
    text = request.match_info["id"]
    if not UUID_FORM.fullmatch(text):
        raise NotFound
    return UUID(text)
