"""Commands that are a client of the service themselves."""

from collections.abc import Iterator
from contextlib import contextmanager

from cypher.client import CypherClientError
from cypher.errors import OperatorError


@contextmanager
def as_client() -> Iterator[None]:
    """Turn what the service refuses, or that it does not answer, into an OperatorError."""
    try:
        yield
    except CypherClientError as exc:
        raise OperatorError(str(exc)) from exc
