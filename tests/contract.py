"""Holds every answer that a test's HTTP client sees to what `/openapi.json` says of its route, on its listener."""

import json
import re
from collections.abc import Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any, Literal

import aiohttp
import jsonschema_rs
import msgspec

from cypher.web.openapi.describe import describe
from cypher.web.operators.routes import ROUTES as OPERATORS
from cypher.web.routes import ROUTES

Listener = Literal["public", "operators"]
TABLES = {"public": ROUTES, "operators": OPERATORS}
#: What a path or a method that no route has is answered with, and a browser's question before a call.
BEYOND_THE_TABLE = {404: "not_found", 405: "method_not_allowed", 403: "origin_not_allowed"}


class Contract:
    """An OpenAPI document, as something that answers can break."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._paths = [
            (re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), operations)
            for path, operations in document["paths"].items()
        ]
        self._validators: dict[str, jsonschema_rs.Validator] = {}

    def breach(self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> str | None:
        """Return what an answer has that is not declared, or lacks that is."""
        operation = self._operation(method, path)
        if operation is None:
            return self._breach_beyond(status, headers, body)
        declared = operation["responses"].get(str(status))
        if declared is None:
            return f"status {status} is not declared"
        response = self._resolved(declared)
        for name, held in response["headers"].items():
            if self._resolved(held).get("required") and name not in headers:
                return f"the header {name} is missing"
        if "Set-Cookie" in headers and "Set-Cookie" not in response["headers"]:
            return "a cookie is set where none is declared"
        return None if method == "HEAD" else self._breach_of_body(response.get("content", {}), headers, body)

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        found = [operations for pattern, operations in self._paths if pattern.fullmatch(path)]
        wanted = "get" if method == "HEAD" else method.lower()
        return next((operations[wanted] for operations in found if wanted in operations), None)

    def _breach_beyond(self, status: int, headers: Mapping[str, str], body: bytes) -> str | None:
        if status == 204 and "Access-Control-Allow-Methods" in headers:
            return None
        said = json.loads(body or b"{}")
        if status not in BEYOND_THE_TABLE or said.get("code") not in (BEYOND_THE_TABLE[status], None):
            return f"status {status} where there is no route"
        return None

    def _breach_of_body(self, declared: Mapping[str, Any], headers: Mapping[str, str], body: bytes) -> str | None:
        media_type = headers.get("Content-Type", "").partition(";")[0]
        if not body and media_type in declared and media_type.endswith("ndjson"):
            return None  # no lines
        if not declared or not body:
            return "a body is there or missing" if declared or body else None
        if media_type not in declared:
            return f"media type {media_type!r} is not declared"
        if not media_type.endswith("json") or media_type.endswith("ndjson"):
            return None
        errors = [error.message for error in self._validator(declared[media_type]).iter_errors(json.loads(body))]
        return "; ".join(errors) or None

    def _resolved(self, held: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in held:
            _, kind, name = held["$ref"].rsplit("/", 2)
            held = self._document["components"][kind][name]
        return held

    def _validator(self, content: dict[str, Any]) -> jsonschema_rs.Validator:
        """Return the validator of a schema, whose references lead into the document."""
        key = json.dumps(content)
        if key not in self._validators:
            schema = {**content["schema"], "components": self._document["components"]}
            self._validators[key] = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
        return self._validators[key]


@cache
def contract(listener: Listener = "public") -> Contract:
    return Contract(json.loads(msgspec.json.encode(describe(TABLES[listener]))))


def watched_client(listener: Listener = "public", **options: Any) -> aiohttp.ClientSession:
    """A client for tests that fails when an answer breaks the contract of this listener."""

    async def check(_: aiohttp.ClientSession, __: SimpleNamespace, seen: aiohttp.TraceRequestEndParams) -> None:
        answer, path = seen.response, seen.url.raw_path
        breach = contract(listener).breach(seen.method, path, answer.status, answer.headers, await answer.read())
        assert breach is None, f"{seen.method} {path}: {breach}, see /openapi.json"

    watch = aiohttp.TraceConfig()
    watch.on_request_end.append(check)
    return aiohttp.ClientSession(trace_configs=[watch], **options)
