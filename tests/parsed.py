"""Python files, parsed once for all rules that look at them."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAM = sorted((ROOT / "cypher").rglob("*.py"))


@cache
def nodes_of(file: Path) -> list[ast.AST]:
    """Return the module and all that is in it."""
    return nodes_in(file.read_text())


def nodes_in(source: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(source)))
