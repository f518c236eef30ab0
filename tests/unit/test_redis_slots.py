"""A cluster takes a command only when all of its names are on one slot: so every name of a script hangs on one id."""

import re
from importlib.resources import files
from pathlib import Path

import pytest
from redis.crc import key_slot

from cypher.clock import SystemClock
from cypher.config import RedisConfig
from cypher.config.limits import Category
from cypher.crypto.blind_index import BlindIndex
from cypher.ephemeral.rate_limiter import RateLimiter
from cypher.ephemeral.sealed_values import key_name
from cypher.redis_client import RedisClient

LUA = sorted(Path(str(files("cypher.ephemeral").joinpath("lua"))).glob("*.lua"))
CODE = Path(__file__).parents[2] / "cypher"
EPOCH = "epoch"
#: Redis commands that name nothing.
NAMELESS = {"TIME"}
#: A script that names many takes them one by one into a local `key`.
NAME = re.compile(r"KEYS\[[^]]+\]|key")


def test_there_are_scripts() -> None:
    assert LUA


@pytest.mark.parametrize("script", LUA, ids=lambda path: path.name)
def test_a_script_touches_only_names_that_it_is_given(script: Path) -> None:
    text = script.read_text()
    calls = re.findall(r"\bp?call\('(\w+)'(?:, ([^,)]+))?", text)
    assert calls
    for command, name in calls:
        assert command in NAMELESS or NAME.fullmatch(name), (command, name)
    assert all(value.startswith("KEYS[") for value in re.findall(r"\bkey\b[^=\n(]* = (\S+)", text))


def test_every_name_is_made_in_one_place_and_its_slot_is_that_of_its_id() -> None:
    makers = [file.name for file in CODE.rglob("*.py") if re.search(r'f"cypher:\{', file.read_text())]
    assert sorted(makers) == ["canary.py", "rate_limiter.py", "sealed_values.py"]  # two only look, by a pattern
    for value_id in ("a", "0" * 64, "with:colon"):
        assert key_slot(key_name(EPOCH, "kind", value_id).encode()) == key_slot(value_id.encode())


@pytest.mark.parametrize("category", Category)
def test_the_two_names_of_a_limit_are_on_one_slot(ring, category: Category) -> None:
    redis = RedisClient.open(RedisConfig(url="redis://127.0.0.1:1"))
    limiter = RateLimiter(redis, BlindIndex(ring), EPOCH, SystemClock())
    names = limiter._keys(category.value, "192.0.2.7")
    assert len({key_slot(name.encode()) for name in names}) == 1
    assert len(set(names)) == 2
