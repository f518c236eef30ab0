"""Answers with the headers that every answer has."""

from http import HTTPStatus

import msgspec
from aiohttp import hdrs, web

#: `Server` is said by us, since aiohttp would add its own version and Python's.
HEADERS = {
    hdrs.CACHE_CONTROL: "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    hdrs.SERVER: "cypher",
}
JSON_HEADERS = {**HEADERS, hdrs.CONTENT_TYPE: "application/json"}

_encode = msgspec.json.Encoder().encode


def answer(body: msgspec.Struct, *, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """Answer with a struct as JSON."""
    return web.Response(body=_encode(body), status=status, headers=JSON_HEADERS)


def answer_as(media_type: str, body: msgspec.Struct, *, status: HTTPStatus) -> web.Response:
    """Answer with a struct as one of JSON's own media types."""
    return web.Response(body=_encode(body), status=status, headers={**HEADERS, hdrs.CONTENT_TYPE: media_type})


def no_content() -> web.Response:
    """Answer 204."""
    return web.Response(status=HTTPStatus.NO_CONTENT, headers=HEADERS)


def accepted() -> web.Response:
    """Answer 202: it will be seen to, and what comes of it is not told here."""
    return web.Response(status=HTTPStatus.ACCEPTED, headers=HEADERS)


def empty() -> web.Response:
    """Answer 200 with nothing in it."""
    return web.Response(headers=HEADERS)
