"""One line for each request, and the place of an unexpected failure: never a value that was sent."""

import logging
import traceback

from aiohttp import web

logger = logging.getLogger("cypher.web")


#: Of a request that never met the route table.
NO_ROUTE = ("-", "-")


def route_of(request: web.Request) -> tuple[str, str]:
    """Return method and path as the route table writes them: what was sent can hold anything, also a token."""
    resource = request.match_info.route.resource
    return (request.method, resource.canonical) if resource else NO_ROUTE


def log_answer(route: tuple[str, str], status: int, *, code: str | None, seconds: float, request_id: str) -> None:
    """Log one request."""
    if logger.isEnabledFor(logging.INFO):
        logger.info("%s %s %d %s %.1f ms %s", *route, status, code or "-", seconds * 1000, request_id)


def log_failure(error: BaseException, request_id: str) -> None:
    """Log where an unexpected error was raised and its type; its text may hold values of the request or of a row."""
    logger.error("unexpected %s in request %s", _describe(error), request_id)


def _describe(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    places = " > ".join(f"{frame.name}:{frame.lineno}" for frame in frames[-8:])
    cause = error.__cause__ or error.__context__
    return f"{type(error).__qualname__} at {places}" + (f" from {type(cause).__qualname__}" if cause else "")
