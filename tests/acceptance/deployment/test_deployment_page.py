"""What docs/deployment.md names is there: settings, commands, files, services. The script has a test of its own."""

import re
from pathlib import Path

import yaml

from cypher.auth.events import Event
from cypher.cli import app

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "deployment.md").read_text()
LINES = [
    line.partition("  #")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.S)
    for line in block.splitlines()
]
CODE = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.S))


def test_every_setting_is_one() -> None:
    settings = set(re.findall(r"^#?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M))
    named = {word for text in CODE for word in re.findall(r"\b[A-Z]{2,}_[A-Z_]+\b|^PORT\b", text)}
    assert len(named) > 15
    assert {name.removesuffix("_FILE") for name in named} <= settings


def test_every_command_is_one() -> None:
    commands = [re.match(r"(?:\S+/|docker-compose exec cypher )?cypher (.*)", line) for line in LINES]
    found = [match[1].split() for match in commands if match]
    assert len(found) >= 6
    for words in found:
        group = app
        while words and (command := group.commands.get(words[0])) is not None:
            words, group = words[1:], command.load() if group is app else command
            if not hasattr(group, "commands"):
                break
        options = {option for parameter in getattr(group, "params", ()) for option in parameter.opts}
        assert set(words) <= options, words


def test_every_service_that_compose_is_asked_about_is_one() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for line in LINES:
        if match := re.match(r"docker-compose (?:up -d|logs|exec) ?(.*)", line):
            asked = match[1].split()[:1] if " exec " in line else match[1].split()
            assert set(asked) <= set(services), line


def test_every_file_and_event_is_there() -> None:
    for path in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert (ROOT / "docs" / path).exists(), path
    for path in ("deploy/systemd/cypher.service", "deploy/kubernetes/cypher.yaml", "Dockerfile", "docker-compose.yml"):
        assert f"`{path}`" in PAGE
        assert (ROOT / path).exists()
    assert {name for text in CODE for name in re.findall(r"--action (\S+)", text)} <= {*Event}
