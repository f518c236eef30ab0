"""What goes wrong is one sentence and an exit status, never a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cypher.errors import CypherError


@contextmanager
def in_a_sentence() -> Iterator[None]:
    """Turn what goes wrong inside the block into one sentence and an exit status."""
    try:
        yield
    except CypherError as exc:
        print(f"cypher: {str(exc) or exc.message()}", file=sys.stderr)
        raise SystemExit(1) from exc
    except KeyboardInterrupt:
        raise SystemExit(130) from None
