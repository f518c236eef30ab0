"""An aiohttp application that answers a constant and does nothing else: `python -m bench.constant PORT`.

The floor of Cypher's own frame: the request's id, the deadline, the headers, the line in the log.
"""

import asyncio
import sys

import uvloop
from aiohttp import web

BODY = b'{"status":"ok"}'
SAID = "A constant answers"


async def answer(request: web.Request) -> web.Response:
    return web.Response(body=BODY, content_type="application/json")


async def serve(port: int) -> None:
    app = web.Application()
    app.router.add_get("/health/live", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(SAID, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
