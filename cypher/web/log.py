"""One line for each request, and the place of an unexpected failure: never a value that was sent."""

import logging

from aiohttp import web

from cypher.logs import describe

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
        method, path = route
        fields = {"method": method, "route": path, "status": status, "code": code}
        fields |= {"milliseconds": round(seconds * 1000, 1), "request_id": request_id}
        line = (method, path, status, code or "-", seconds * 1000, request_id)
        logger.info("%s %s %d %s %.1f ms %s", *line, extra={"event": "request", "fields": fields})


def log_failure(error: BaseException, request_id: str) -> None:
    """Log where an unexpected error was raised and its type; its text may hold values of the request or of a row."""
    fields = {"request_id": request_id}
    logger.error("unexpected %s in request %s", describe(error), request_id, extra={"fields": fields})
