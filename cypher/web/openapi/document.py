"""The parts of an OpenAPI 3.1 document that are used here, by their names in it."""

from collections.abc import Mapping
from typing import Literal

import msgspec

#: JSON Schema 2020-12, as msgspec writes it.
Schema = Mapping[str, object]


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """What is empty is left out."""


class Ref(Part, frozen=True):
    """Something that stands in the components."""

    ref: str = msgspec.field(name="$ref")


class Info(Part, frozen=True):
    title: str
    version: str
    summary: str
    description: str


class Tag(Part, frozen=True):
    name: str
    description: str


class Header(Part, frozen=True):
    description: str
    schema: Schema
    required: bool = False


class Content(Part, frozen=True):
    """What a body of one media type looks like."""

    schema: Schema


class Parameter(Part, frozen=True):
    name: str
    in_: Literal["path", "query", "cookie", "header"] = msgspec.field(name="in")
    schema: Schema
    required: bool = False
    description: str = ""


class RequestBody(Part, frozen=True):
    content: Mapping[str, Content]
    required: bool = False


class Response(Part, frozen=True):
    description: str
    headers: Mapping[str, Ref]
    content: Mapping[str, Content] = {}


class Operation(Part, frozen=True):
    operation_id: str
    summary: str
    tags: tuple[str, ...]
    responses: Mapping[str, Ref | Response]
    #: Never left out: none is an answer too.
    security: list[Mapping[str, tuple[str, ...]]]
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    request_body: RequestBody | None = None


class SecurityScheme(Part, frozen=True):
    description: str
    type: str = msgspec.field()
    scheme: str = msgspec.field()
    bearer_format: str = ""


class Components(Part, frozen=True):
    schemas: Mapping[str, Schema]
    responses: Mapping[str, Response]
    headers: Mapping[str, Header]
    security_schemes: Mapping[str, SecurityScheme]


class Document(Part, frozen=True):
    openapi: str
    info: Info
    tags: tuple[Tag, ...]
    paths: Mapping[str, Mapping[str, Operation]]
    components: Components
