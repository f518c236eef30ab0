"""Puts routes, middleware and what they use together into one application."""

from aiohttp import web

from cypher.auth.use_cases import Services
from cypher.config import Config
from cypher.web.draining import Draining
from cypher.web.keys import DOCUMENT, DRAINING, HTTP, METRICS, PAGE, REGISTRATION, SERVICES
from cypher.web.middlewares import frame
from cypher.web.openapi.describe import describe
from cypher.web.openapi.publish import published
from cypher.web.routes import ROUTES, serve_table


def make_web_app(services: Services, config: Config) -> web.Application:
    """Build the public application over services that somebody else opens and closes."""
    app = web.Application(middlewares=[frame])
    app[SERVICES] = services
    app[HTTP] = config.http
    app[REGISTRATION] = config.registration
    app[DRAINING] = Draining()
    app[METRICS] = services.metrics
    app[DOCUMENT], app[PAGE] = published(describe(ROUTES))
    serve_table(app, ROUTES)
    return app
