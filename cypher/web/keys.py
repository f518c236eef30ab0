"""What the application and a request carry, by typed key."""

from typing import Literal
from uuid import UUID

from aiohttp import web

from cypher.auth.use_cases import Services
from cypher.config import HttpConfig
from cypher.maintenance.operations import Operations
from cypher.metrics import Metrics
from cypher.web.draining import Draining
from cypher.web.stored import StoredAnswer

SERVICES: web.AppKey[Services] = web.AppKey("services", Services)
#: On the operators' listener only.
OPERATIONS: web.AppKey[Operations] = web.AppKey("operations", Operations)
HTTP: web.AppKey[HttpConfig] = web.AppKey("http", HttpConfig)
REGISTRATION: web.AppKey[Literal["open", "closed"]] = web.AppKey("registration")
#: Announced as soon as the service is about to stop: it is no longer ready, and still answers.
DRAINING: web.AppKey[Draining] = web.AppKey("draining", Draining)
#: The description of the HTTP interface, for programs and for people.
DOCUMENT: web.AppKey[StoredAnswer] = web.AppKey("document", StoredAnswer)
PAGE: web.AppKey[StoredAnswer] = web.AppKey("page", StoredAnswer)

METRICS: web.AppKey[Metrics] = web.AppKey("metrics", Metrics)

REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
#: The service token of an operator; set by the guard of their listener.
OPERATOR: web.RequestKey[UUID] = web.RequestKey("operator", UUID)
