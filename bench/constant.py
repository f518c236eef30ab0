"""An aiohttp application that answers a constant and does nothing else: `python -m bench.constant PORT`.

The floor of Cypher's own frame: the request's id, the deadline, the headers, the line in the log.
"""

from aiohttp import web

from bench.bare_aiohttp import main

BODY = b'{"status":"ok"}'


async def answer(request: web.Request) -> web.Response:
    return web.Response(body=BODY, content_type="application/json")


if __name__ == "__main__":
    main([web.get("/health/live", answer)])
