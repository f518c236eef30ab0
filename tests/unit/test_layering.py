"""The architecture's table, read off the import statements."""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.parsed import PROGRAM, ROOT, nodes_in, nodes_of

LAYERS = (
    {"errors", "operator_errors", "clock", "metrics", "shared_calls", "signals", "__version__"},
    {"settings", "master_password", "config", "sqlfiles", "crypto", "logs", "spellings"},
    {
        *("postgres", "postgres_errors", "postgres_keys", "postgres_limits"),
        *("redis_client", "redis_pipe", "redis_scripts", "redis_servers", "schema", "migrate"),
    },
    {"repositories", "ephemeral"},
    {"auth", "maintenance"},
    {"web", "client"},
    {
        "app",
        "parts",
        "wiring",
        "checkpoint_sinks",
        "trail",
        "operating",
        "listening",
        "starting",
        "serving",
        "workers",
        "metrics_folder",
        "moving",
        "backup",
        "cli",
        "commands",
        "demo",
        "canary",
        "doctor",
        "embedded",
        "__main__",
    },
)
#: Modules of one layer may not import each other, but for these.
BESIDE = {
    ("operator_errors", "errors"),
    ("config", "settings"),
    ("config", "master_password"),
    ("logs", "config"),
    ("postgres", "postgres_errors"),
    ("postgres", "postgres_limits"),
    ("migrate", "schema"),
    ("redis_client", "redis_pipe"),
    ("redis_client", "redis_scripts"),
    ("redis_scripts", "redis_pipe"),
    ("redis_client", "redis_servers"),
    ("maintenance", "auth"),
    ("parts", "app"),
    ("wiring", "app"),
    ("wiring", "parts"),
    ("commands", "metrics_folder"),
    ("operating", "parts"),
    ("serving", "wiring"),
    ("operating", "app"),
    ("serving", "app"),
    ("serving", "listening"),
    ("serving", "operating"),
    ("serving", "starting"),
    ("starting", "app"),
    ("starting", "listening"),
    ("starting", "trail"),
    ("moving", "app"),
    ("demo", "app"),
    ("commands", "app"),
    ("commands", "operating"),
    ("trail", "app"),
    ("trail", "checkpoint_sinks"),
    ("commands", "parts"),
    ("commands", "canary"),
    ("commands", "demo"),
    ("commands", "doctor"),
    ("doctor", "app"),
    ("doctor", "embedded"),
    ("doctor", "parts"),
    ("canary", "app"),
    ("canary", "serving"),
    ("commands", "embedded"),
    ("cli", "commands"),
    ("commands", "moving"),
    ("commands", "listening"),
    ("commands", "serving"),
    ("commands", "workers"),
    ("commands", "backup"),
    ("backup", "app"),
    ("backup", "embedded"),
    ("canary", "backup"),
    ("__main__", "cli"),
}
#: The client is another program that happens to be shipped with the service: it knows nothing of its inside.
FOR_THE_CLIENT = {"clock", "__version__"}

#: Who may import a driver or a library that is wrapped in one place.
ONLY_IN = {
    "aiohttp": ("web/", "client/", "app.py", "listening.py", "checkpoint_sinks.py", "canary.py"),
    "asyncpg": ("postgres.py", "postgres_errors.py", "postgres_limits.py"),
    "confusable_homoglyphs": ("auth/usernames.py",),
    "cryptography": ("crypto/",),
    "hiredis": ("redis_pipe.py",),
    "jwt": ("auth/access_tokens.py",),
    "opaque_ke_py": ("auth/opaque.py", "client/opaque.py"),
    "precis_i18n": ("auth/usernames.py",),
    "prometheus_client": ("metrics.py",),
    # Blocking: yoyo needs it to migrate, and a key store is used from threads.
    "psycopg": ("migrate.py", "postgres_keys.py", "schema.py"),
    "pyotp": ("auth/totp.py",),
    "redis": ("redis_client.py", "redis_pipe.py", "redis_scripts.py", "redis_servers.py"),
    "rich": ("commands/", "demo.py"),
    "segno": ("auth/totp.py",),
    "typer": ("cli.py", "commands/"),
    "yoyo": ("migrate.py",),
}
CLOCKS_AND_DICE = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
    ("uuid", "uuid1"),
    ("uuid", "uuid4"),
    ("os", "urandom"),
}
DICE = {"secrets", "random", "uuid4", "uuid1", "urandom"}
MAY_ROLL = ("clock.py", "crypto/")
FORBIDDEN_WORDS = {"manager", "helper", "util", "common", "base", "service"}
#: What `web` is handed: the use cases together.
ALLOWED_NAMES = {"Services"}


@dataclass(frozen=True)
class Module:
    path: str
    nodes: list[ast.AST]

    @property
    def part(self) -> str:
        return self.path.split("/")[0].removesuffix(".py")

    def imports(self) -> Iterator[tuple[str, str]]:
        """Every imported module, with the name taken from it ("" for the whole)."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from ((alias.name, "") for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path}:{node.lineno} imports relatively"
                yield from ((node.module or "", alias.name) for alias in node.names)

    def parts_used(self) -> set[str]:
        used = set()
        for module, name in self.imports():
            if module == "cypher":
                used.add(name)
            elif module.startswith("cypher."):
                used.add(module.split(".")[1])
        return used - {self.part}


@pytest.fixture(scope="module")
def modules() -> list[Module]:
    found = [Module(str(file.relative_to(ROOT / "cypher")), nodes_of(file)) for file in PROGRAM]
    return [module for module in found if module.path != "__init__.py"]


def layer_of(part: str) -> int:
    return next(number for number, parts in enumerate(LAYERS) if part in parts)


def imports_go_downward(module: Module) -> None:
    for used in module.parts_used():
        below = layer_of(used) < layer_of(module.part)
        assert below or (module.part, used) in BESIDE, f"{module.path} imports cypher.{used}"


def client_knows_nothing_of_the_inside(module: Module) -> None:
    if module.part == "client":
        assert module.parts_used() <= FOR_THE_CLIENT, module.path


def libraries_stay_behind_their_one_module(module: Module) -> None:
    for name, _ in module.imports():
        allowed = ONLY_IN.get(name.split(".")[0])
        assert allowed is None or module.path.startswith(allowed), f"{module.path} imports {name}"


def time_and_randomness_come_from_the_clock_and_crypto(module: Module) -> None:
    if module.path.startswith(MAY_ROLL):
        return
    for name, taken in module.imports():
        assert not {name, taken} & DICE, f"{module.path} imports {name}.{taken}"
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) not in CLOCKS_AND_DICE, f"{module.path}:{node.lineno}"


def only_the_command_line_hands_over_the_environment(module: Module) -> None:
    if module.part in {"cli", "commands"}:
        return
    for node in module.nodes:
        if isinstance(node, ast.Attribute):
            assert node.attr not in {"environ", "getenv"}, f"{module.path}:{node.lineno}"


def names_say_what_a_thing_is(module: Module) -> None:
    classes = [node.name for node in module.nodes if isinstance(node, ast.ClassDef)]
    for name in {Path(module.path).stem, *classes} - ALLOWED_NAMES:
        # The last word is what a thing is: a ServiceToken is a token.
        word = re.findall(r"[A-Z]?[a-z0-9]+", name)[-1:]
        assert not {part.lower().removesuffix("s") for part in word} & FORBIDDEN_WORDS, f"{module.path}: {name}"


RULES = (
    imports_go_downward,
    client_knows_nothing_of_the_inside,
    libraries_stay_behind_their_one_module,
    time_and_randomness_come_from_the_clock_and_crypto,
    only_the_command_line_hands_over_the_environment,
    names_say_what_a_thing_is,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_module_keeps_the_rule(modules: list[Module], rule: Callable[[Module], None]) -> None:
    for module in modules:
        rule(module)


def test_every_library_is_either_shipped_with_python_or_declared(modules: list[Module]) -> None:
    declared = (ROOT / "setup.cfg").read_text().lower().replace("-", "_")
    aliases = {"jwt": "pyjwt", "yoyo": "yoyo_migrations"}
    for module in modules:
        for name, _ in module.imports():
            top = name.split(".")[0]
            if top != "cypher" and top not in sys.stdlib_module_names:
                assert f"\n    {aliases.get(top, top)}" in declared, f"{module.path} imports {top}"


@pytest.mark.parametrize(
    ("path", "source", "rule"),
    [
        ("crypto/x.py", "from cypher.auth import login", imports_go_downward),
        ("repositories/x.py", "import cypher.ephemeral.flows", imports_go_downward),
        ("client/x.py", "from cypher.config import load", client_knows_nothing_of_the_inside),
        ("auth/x.py", "import asyncpg.pool", libraries_stay_behind_their_one_module),
        ("auth/x.py", "a = datetime.now()", time_and_randomness_come_from_the_clock_and_crypto),
        ("auth/x.py", "from secrets import token_bytes", time_and_randomness_come_from_the_clock_and_crypto),
        ("auth/x.py", "import os\nos.environ['A']", only_the_command_line_hands_over_the_environment),
        ("auth/x.py", "class SessionManager: ...", names_say_what_a_thing_is),
    ],
)
def test_each_rule_finds_what_breaks_it(path, source, rule) -> None:
    with pytest.raises(AssertionError, match=path):
        rule(Module(path, nodes_in(source)))
