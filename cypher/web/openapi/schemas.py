"""JSON Schema of the structs that a route table names."""

from collections.abc import Iterable, Mapping, Sequence
from types import UnionType
from typing import cast, get_args

import msgspec
from msgspec import inspect

from cypher.web.endpoint import Media
from cypher.web.openapi.contract import speaks_oauth
from cypher.web.openapi.document import Schema
from cypher.web.routes import Route
from cypher.web.schema import OAuthError, Problem

Struct = type[msgspec.Struct]


class Schemas:
    """Every struct under its name, as it stands in the components."""

    def __init__(self, routes: Sequence[Route]) -> None:
        refs_received, of_received = _components([*_received(routes)])
        refusals = (Problem, OAuthError) if any(speaks_oauth(route) for route in routes) else (Problem,)
        sent = [*_sent(routes), *refusals]
        refs_sent, of_sent = _components(sent)
        sparing = {struct.__name__ for struct in _with_parts(sent) if struct.__struct_config__.omit_defaults}
        complete = {name: _complete(schema, sparing=name in sparing) for name, schema in of_sent.items()}
        self._refs = {**refs_received, **refs_sent}
        self.components = {**of_received, **complete}

    def of(self, body: Struct | UnionType) -> Schema:
        """Return the schema of a struct, or of one out of several."""
        refs = [self._refs[struct] for struct in _structs(body)]
        return refs[0] if len(refs) == 1 else {"anyOf": refs}


def _structs(body: Struct | UnionType) -> tuple[Struct, ...]:
    return get_args(body) if isinstance(body, UnionType) else (body,)


def fields_of(struct: Struct) -> list[tuple[str, Schema, bool]]:
    """Return name and schema of each field of a flat struct, and whether it must be there."""
    components = _components([struct])[1]
    schema = components.pop(struct.__name__)
    properties = cast(dict[str, Schema], schema["properties"])
    required = cast(list[str], schema.get("required", []))
    return [(name, _written_out(field, components), name in required) for name, field in properties.items()]


def _written_out(field: Schema, components: Mapping[str, Schema]) -> Schema:
    """Put an enumeration in the place of its name: a parameter refers to nothing."""
    plain = dict(field)
    name = cast(str, plain.pop("$ref", "")).rpartition("/")[2]
    return {**components[name], **plain} if name else plain


def _received(routes: Iterable[Route]) -> Iterable[Struct]:
    return (route.handler.reads for route in routes if route.handler.reads is not None)


def _sent(routes: Iterable[Route]) -> Iterable[Struct]:
    for route in routes:
        for body in route.handler.answers.values():
            if body is not None and not isinstance(body, Media):
                yield from _structs(body)


def _components(structs: Sequence[Struct]) -> tuple[dict[Struct, Schema], dict[str, Schema]]:
    refs, components = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    return dict(zip(structs, refs, strict=True)), dict(components)


def _with_parts(structs: Iterable[Struct]) -> Iterable[Struct]:
    """Return these structs and all that they are made of."""
    waiting: list[inspect.Type] = [*inspect.multi_type_info(structs)]
    while waiting:
        match waiting.pop():
            case inspect.StructType(cls=struct, fields=fields):
                yield struct
                waiting += [field.type for field in fields]
            case inspect.UnionType(types=types):
                waiting += types
            case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
                waiting.append(item)


def _complete(schema: Schema, *, sparing: bool) -> Schema:
    """Require the fields that have a default: we write them always. Only what is UNSET may be missing.

    A `sparing` struct (`omit_defaults`) leaves them out.
    """
    if "properties" not in schema:
        return schema
    properties = cast(dict[str, dict[str, object]], schema["properties"])
    required = set(cast(list[str], schema.get("required", [])))
    required |= {name for name, field in properties.items() if "default" in field and not sparing}
    plain = {
        name: {word: value for word, value in field.items() if word != "default"} for name, field in properties.items()
    }
    return {**schema, "properties": plain, "required": sorted(required)}
