"""From the route table to an OpenAPI 3.1 document: nothing in it is written by hand a second time."""

import inspect
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus

from msgspec.structs import replace

from cypher import __version__
from cypher.web import refresh_cookie
from cypher.web.body import FORM, JSON
from cypher.web.endpoint import Body, Media
from cypher.web.errors import PROBLEM_JSON
from cypher.web.openapi.contract import refusals, speaks_oauth
from cypher.web.openapi.document import (
    Components,
    Content,
    Document,
    Header,
    Info,
    Operation,
    Parameter,
    Ref,
    RequestBody,
    Response,
    SecurityScheme,
    Tag,
)
from cypher.web.openapi.schemas import Schemas, fields_of
from cypher.web.routes import SCOPES, Needs, Route
from cypher.web.schema import OAuthError, Problem

DESCRIPTION = """\
People log in with a password that this service never sees (OPAQUE, RFC 9807).

JSON in UTF-8; unknown fields are ignored. Ids are UUIDs, times are RFC 3339 in UTC, OPAQUE messages are base64url \
without padding. Every answer carries `X-Request-Id`; a caller's own is kept when it matches \
`^[A-Za-z0-9._-]{8,64}$`. HEAD goes with GET. Another path is 404 `not_found`, another method 405 `method_not_allowed`.

Errors are problems of RFC 9457, whose `code` is stable; under `/oauth/` they are those of RFC 6749."""

TEXT = {"type": "string"}
SECONDS = {"type": "integer", "minimum": 0}
HEADERS = {
    "X-Request-Id": Header(
        description="Names this request in the log.",
        schema={"type": "string", "pattern": "^[A-Za-z0-9._-]{8,64}$"},
        required=True,
    ),
    "WWW-Authenticate": Header(description="RFC 6750.", schema={"type": "string", "const": "Bearer"}, required=True),
    "Retry-After": Header(description="Seconds to wait before asking again.", schema=SECONDS, required=True),
    "RateLimit": Header(description="What is left of the limit that refused.", schema=TEXT, required=True),
    "RateLimit-Policy": Header(description="The limit that refused.", schema=TEXT, required=True),
    "Set-Cookie": Header(
        description=f"`{refresh_cookie.NAME}` with HttpOnly, Secure, SameSite=Strict and Path={refresh_cookie.PATH}: "
        "the refresh token where it was asked for as a cookie, or the end of it.",
        schema=TEXT,
    ),
    "ETag": Header(description="Changes when the content does.", schema=TEXT, required=True),
}
HEADERS_OF = {
    HTTPStatus.NOT_MODIFIED: ("ETag",),
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate",),
    HTTPStatus.TOO_MANY_REQUESTS: ("Retry-After", "RateLimit", "RateLimit-Policy"),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Retry-After",),
}
COOKIE_PARAMETERS = (
    Parameter(
        name=refresh_cookie.NAME,
        in_="cookie",
        schema=TEXT,
        description="The refresh token, instead of the one in the form.",
    ),
    Parameter(
        name="Origin",
        in_="header",
        schema=TEXT,
        description="Must be the service's own origin where the refresh token comes in the cookie.",
    ),
)
SCHEMES = {
    "accessToken": SecurityScheme(
        type="http",
        scheme="bearer",
        bearer_format="JWT",
        description="An access token, from a login or from `/oauth/token`.",
    ),
    "serviceToken": SecurityScheme(
        type="http", scheme="bearer", description="A service token, made with `cypher tokens create`."
    ),
}
SECURITY: dict[Needs, list[Mapping[str, tuple[str, ...]]]] = {
    Needs.NOTHING: [],
    Needs.ACCESS_TOKEN: [{"accessToken": ()}],
    Needs.FRESH: [{"accessToken": ()}],
    **{need: [{"serviceToken": (scope,)} for scope in scopes] for need, scopes in SCOPES.items()},
    # Whoever asks from the machine itself needs none.
    Needs.SEE_METRICS: [{}, *({"serviceToken": (scope,)} for scope in SCOPES[Needs.SEE_METRICS])],
}
#: What a path names, by the name of the parameter.
IN_PATH = {
    "id": {"type": "string", "format": "uuid"},
    "key_id": {"type": "string", "pattern": "^[a-z_]+-[0-9]{8}-[0-9a-f]{8}$"},
}


def describe(routes: Sequence[Route], *, title: str = "Cypher", about: str = DESCRIPTION) -> Document:
    """Describe every route of a table."""
    schemas = Schemas(routes)
    paths: dict[str, dict[str, Operation]] = {}
    refused: dict[str, Response] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
        for status, codes in refusals(route).items():
            refused[_name(route, status, codes)] = _refusal(route, status, codes, schemas)
    return Document(
        openapi="3.1.0",
        info=Info(title=title, version=__version__, summary="An authentication service.", description=about),
        tags=tuple(_tags(routes)),
        paths=paths,
        components=Components(
            schemas=schemas.components, responses=refused, headers=HEADERS, security_schemes=_schemes(routes)
        ),
    )


def _schemes(routes: Iterable[Route]) -> dict[str, SecurityScheme]:
    """Return the kinds of tokens that these routes ask for."""
    asked = {name for route in routes for need in SECURITY[route.needs] for name in need}
    return {name: scheme for name, scheme in SCHEMES.items() if name in asked}


def _tags(routes: Iterable[Route]) -> Iterable[Tag]:
    """One for each module of handlers, with its first sentence."""
    for name in dict.fromkeys(route.handler.handle.__module__ for route in routes):
        sentence = (sys.modules[name].__doc__ or "").strip().partition("\n")[0]
        yield Tag(name=_last(name), description=sentence)


def _operation(route: Route, schemas: Schemas) -> Operation:
    handle = route.handler.handle
    first, _, rest = (inspect.getdoc(handle) or "").partition("\n")
    _, _, summary = first.partition(": ")  # after "METHOD /path"
    module = _last(handle.__module__)
    return Operation(
        operation_id=f"{module}_{handle.__name__}",
        summary=summary[:1].upper() + summary[1:].removesuffix("."),
        description=rest.strip(),
        tags=(module,),
        parameters=(
            *_path_parameters(route),
            *_query_parameters(route),
            *(COOKIE_PARAMETERS if route.handler.takes_cookie else ()),
        ),
        request_body=_request_body(route, schemas),
        responses=_responses(route, schemas),
        security=SECURITY[route.needs],
    )


def _last(dotted: str) -> str:
    return dotted.rpartition(".")[2]


def _path_parameters(route: Route) -> Iterable[Parameter]:
    for name in re.findall(r"\{(\w+)\}", route.path):
        yield Parameter(name=name, in_="path", required=True, schema=IN_PATH[name])


def _query_parameters(route: Route) -> Iterable[Parameter]:
    for name, schema, required in fields_of(route.handler.query) if route.handler.query else ():
        yield Parameter(name=name, in_="query", required=required, schema=schema)


def _request_body(route: Route, schemas: Schemas) -> RequestBody | None:
    if route.handler.reads is None:
        return None
    media_type = FORM if speaks_oauth(route) else JSON
    return RequestBody(required=True, content={media_type: Content(schema=schemas.of(route.handler.reads))})


def _responses(route: Route, schemas: Schemas) -> dict[str, Ref | Response]:
    """Return every answer by its status; one that only says no is shared with other routes."""
    refused = refusals(route)
    answers: dict[int, Ref | Response] = {
        status: Ref(ref=f"#/components/responses/{_name(route, status, codes)}") for status, codes in refused.items()
    }
    own = {HTTPStatus(status): body for status, body in route.handler.answers.items()}
    with_cookie = {HTTPStatus(status) for status in route.handler.sets_cookie}
    for status in own.keys() | with_cookie:
        parts = []
        if status in own:
            parts.append(_answer(status, own[status], schemas))
        if status in refused:
            parts.append(_refusal(route, status, refused[status], schemas))
        headers = {**parts[-1].headers, **(_header("Set-Cookie") if status in with_cookie else {})}
        content = {media_type: body for part in parts for media_type, body in part.content.items()}
        answers[status] = replace(parts[-1], headers=headers, content=content)
    return {str(int(status)): answers[status] for status in sorted(answers)}


def _answer(status: HTTPStatus, body: Body, schemas: Schemas) -> Response:
    content = {}
    if isinstance(body, Media):
        content = {body.type: Content(schema=TEXT if body.type.startswith("text/") else {})}
    elif body is not None:
        content = {JSON: Content(schema=schemas.of(body))}
    return Response(description=status.phrase, headers=_headers(status), content=content)


def _name(route: Route, status: HTTPStatus, codes: Iterable[str]) -> str:
    return "-".join((*(("oauth",) if speaks_oauth(route) else ()), str(int(status)), *codes))


def _refusal(route: Route, status: HTTPStatus, codes: Mapping[str, str], schemas: Schemas) -> Response:
    said = "\n".join(f"- `{code}`: {message}" for code, message in codes.items())
    media_type, form, field = (JSON, OAuthError, "error") if speaks_oauth(route) else (PROBLEM_JSON, Problem, "code")
    content = Content(schema={"allOf": [schemas.of(form), {"properties": {field: {"enum": list(codes)}}}]})
    return Response(description=said, headers=_headers(status), content={media_type: content})


def _headers(status: HTTPStatus) -> dict[str, Ref]:
    return _header("X-Request-Id", *HEADERS_OF.get(status, ()))


def _header(*names: str) -> dict[str, Ref]:
    return {name: Ref(ref=f"#/components/headers/{name}") for name in names}
