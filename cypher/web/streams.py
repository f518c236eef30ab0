"""Answers of any length, line by line: what is not read yet is not made yet."""

from collections.abc import AsyncIterator

from aiohttp import hdrs, web

from cypher.web.answers import HEADERS
from cypher.web.keys import REQUEST_ID
from cypher.web.source import REQUEST_ID_HEADER

NDJSON = "application/x-ndjson"


async def stream(request: web.Request, lines: AsyncIterator[bytes]) -> web.StreamResponse:
    """Answer 200 with lines. What fails before the first is answered as any error; later the connection breaks off."""
    first = await anext(lines, b"")
    response = web.StreamResponse(
        headers={**HEADERS, hdrs.CONTENT_TYPE: NDJSON, REQUEST_ID_HEADER: request[REQUEST_ID]}
    )
    await response.prepare(request)
    whole = False
    try:
        await response.write(first)
        async for line in lines:
            await response.write(line)
        await response.write_eof()
        whole = True
    finally:
        # An error must not be written into the middle, nor look like the end: the last chunk never comes.
        if not whole and request.transport is not None:
            request.transport.abort()
    return response
