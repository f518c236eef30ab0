"""Handlers in aiohttp with nothing around them, in a process of its own: `python -m bench.constant PORT`, for one."""

import asyncio
import sys
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import uvloop
from aiohttp import web

from bench.processes import Running, free_port, server

SAID = "Bare aiohttp answers"


def main(routes: Iterable[web.RouteDef]) -> None:
    """Serve on the port that the command names, until the process is ended."""
    uvloop.run(_serve(routes, int(sys.argv[1])))


def bare(module: str, folder: Path) -> AbstractAsyncContextManager[Running]:
    """Run a module that calls `main`."""
    port = free_port()
    return server("-m", module, str(port), environment={}, folder=folder, said=SAID, port=port)


async def _serve(routes: Iterable[web.RouteDef], port: int) -> None:
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(SAID, flush=True)
    await asyncio.Event().wait()
