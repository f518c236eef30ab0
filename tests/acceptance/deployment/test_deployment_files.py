"""Every file for deployment, read by a program that is not ours, and held to the settings that there are."""

import asyncio
import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from redis import ConnectionError, Redis

from cypher.cli import app
from cypher.config import Config, load
from cypher.embedded import valkey_server
from tests.acceptance.service import free_port

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
SCRIPTS = Path(sysconfig.get_path("scripts"))
EXAMPLE = dict(re.findall(r"^([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.M))
SETTINGS = set(re.findall(r"^#?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M))
SECRETS = {
    name
    for file in (ROOT / "cypher" / "config").glob("*.py")
    for name in re.findall(r'read\.secret\("([A-Z_]+)"', file.read_text())
}
KNOWN = SETTINGS | {f"{name}_FILE" for name in SECRETS}
COMMANDS = {*app.commands}
MASTER_PASSWORD = "XjxZ0aZkPq3n8VtYwB2rLc5mHd7fGsKe9uTiOoRbNyM="
VERSION = "1.37"


def passes(*command: str | Path) -> None:
    """Run a program that judges a file, and show what it says when it does not like it."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def loaded(settings: dict[str, str], folder: Path, *places: str) -> Config:
    """Read settings whose secrets stand in files of one of these folders, as they are given over there."""
    for name, value in settings.items():
        if value.startswith(places):
            file = folder / Path(value).name
            file.write_text(MASTER_PASSWORD if "master" in value else f"the one of {file.name}\n")
            settings[name] = str(file)
    return load(settings, None)


def interpolated(value: str, environ: dict[str, str]) -> str:
    """Do what Compose does with `${NAME:-else}`, `${NAME:?or fail}` and `${NAME:+instead}`, from the inside out."""
    while found := re.search(r"\$\{([A-Z_]+):([-+?])([^${}]*)\}", value):
        name, kind, word = found.groups()
        given = environ.get(name, "")
        text = (word if given else "") if kind == "+" else given or word
        value = value[: found.start()] + text + value[found.end() :]
    return value


def answers(client: Redis) -> bool:
    try:
        return client.ping() is True
    except ConnectionError:
        return False


class TestCompose:
    @pytest.fixture
    def compose(self) -> Any:
        return yaml.safe_load((ROOT / "docker-compose.yml").read_text())

    def test_it_is_as_the_compose_specification_wants_it(self) -> None:
        schema = ("--builtin-schema", "vendor.compose-spec")
        passes(sys.executable, "-m", "check_jsonschema", *schema, ROOT / "docker-compose.yml")

    def test_what_it_sets_and_asks_for_are_settings(self, compose) -> None:
        for name in ("cypher", "migrate", "backup"):
            assert set(compose["services"][name]["environment"]) <= KNOWN
        asked = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
        assert asked <= SETTINGS

    @pytest.mark.parametrize("owner", ["", "cypher_owner"])
    @pytest.mark.parametrize("name", ["cypher", "migrate", "backup"])
    def test_cypher_takes_what_its_containers_get_and_meets_no_secret_but_in_files(
        self, compose, tmp_path, name: str, owner: str
    ) -> None:
        """Whatever else .env has, such as an address that is right outside only."""
        outside = {**EXAMPLE, "REDIS_HOST": "", "REDIS_URL": "redis://outside", "POSTGRES_MIGRATION_USER": owner}
        outside["POSTGRES_MIGRATION_PASSWORD"] = "the owner's" if owner else ""
        service = compose["services"][name]
        assert service.get("command", ["serve"])[0] in COMMANDS
        inside = {key: interpolated(value, outside) for key, value in service["environment"].items()}
        assert all(not inside[secret] for secret in SECRETS & set(inside))
        files = {inside[f"{secret}_FILE"] for secret in SECRETS if inside.get(f"{secret}_FILE")}
        assert files <= {f"/run/secrets/{secret}" for secret in service["secrets"]}
        config = loaded({**outside, **inside}, tmp_path, "/run/secrets")
        assert (config.postgres.hosts, config.redis.url) == (("postgres",), "redis://redis:6379/0")
        assert config.postgres.password is not None
        assert config.postgres.password.reveal() == "the one of postgres_password"
        assert config.postgres.migration_user == (owner if owner and name != "cypher" else None)
        assert config.http.host == "0.0.0.0"

    def test_each_secret_that_a_service_gets_comes_from_a_setting(self, compose) -> None:
        given = {secret for service in compose["services"].values() for secret in service.get("secrets", ())}
        assert given == set(compose["secrets"])
        for owner in ("", "cypher_owner"):
            for source in compose["secrets"].values():
                assert interpolated(source["environment"], {"POSTGRES_MIGRATION_USER": owner}) in SECRETS

    def test_nothing_is_reached_from_another_machine(self, compose) -> None:
        ports = {name: port for name, each in compose["services"].items() for port in each.get("ports", ())}
        assert all(port.startswith("127.0.0.1:") for port in ports.values())
        assert (ports["pgadmin"], ports["redis-commander"]) == ("127.0.0.1:8081:80", "127.0.0.1:8082:8081")
        tools = {name for name, each in compose["services"].items() if each.get("profiles") == ["tools"]}
        assert tools == {"pgadmin", "redis-commander"}

    def test_redis_takes_its_password_and_shows_it_in_no_list_of_processes(self, compose, tmp_path) -> None:
        (tmp_path / "redis_password").write_text("drawn-for-this-test")
        (tmp_path / "redis-server").symlink_to(valkey_server())
        shell, options, script = compose["services"]["redis"]["command"]
        script = script.replace("$$", "$").replace("/run/secrets", str(tmp_path))
        place = f"port 0\nunixsocket {tmp_path}/s\ndir {tmp_path}\n"
        script = script.replace("appendonly yes\n", f"appendonly yes\n{place}")
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        with subprocess.Popen([shell, options, script], env=environment, stdout=subprocess.DEVNULL) as process:
            try:
                with Redis(unix_socket_path=f"{tmp_path}/s", password="drawn-for-this-test") as client:
                    while not answers(client):
                        assert process.poll() is None
                        time.sleep(0.01)
                assert b"drawn" not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
            finally:
                process.terminate()
        assert process.returncode == 0

    @pytest.mark.parametrize("secret", [None, ""])
    def test_redis_does_not_start_without_a_password(self, compose, tmp_path, secret: str | None) -> None:
        """Such as one in a file that its user cannot read."""
        if secret is not None:
            (tmp_path / "redis_password").write_text(secret)
        (tmp_path / "redis-server").symlink_to("/bin/true")
        shell, options, script = compose["services"]["redis"]["command"]
        script = script.replace("$$", "$").replace("/run/secrets", str(tmp_path))
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = subprocess.run([shell, options, script], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert done.stderr


class TestDockerfile:
    TEXT = (ROOT / "Dockerfile").read_text()

    def test_hadolint_has_nothing_to_say(self) -> None:
        passes(SCRIPTS / "hadolint", ROOT / "Dockerfile")

    def test_what_it_copies_is_there_and_not_ignored(self) -> None:
        copied = {name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", self.TEXT, re.M) for name in line.split()}
        kept = set(re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.M))
        assert copied == kept
        assert all((ROOT / name).exists() for name in copied)

    def test_it_runs_without_rights_and_sets_only_settings(self) -> None:
        stages = re.split(r"^FROM (.*)$", self.TEXT, flags=re.M)
        assert stages[-2] == "service"
        last = stages[stages.index("python:3.11-slim-trixie AS service") + 1]
        assert re.search(r"^USER 10001:10001$", last, re.M)
        set_here = set(re.findall(r"^(?:ENV|   ) ([A-Z_]+)=", last, re.M))
        assert set_here - {"PATH", "PYTHONDONTWRITEBYTECODE"} <= SETTINGS
        assert "embedded" not in re.sub(r"^#.*$", "", self.TEXT, flags=re.M)

    def test_the_image_for_backups_has_the_client_of_the_server_in_compose(self) -> None:
        [client] = re.findall(r"^ARG POSTGRES=(\d+)$", self.TEXT, re.M)
        compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
        assert compose["services"]["postgres"]["image"] == f"postgres:{client}"
        backup = self.TEXT.partition("FROM service AS backup\n")[2].partition("\nFROM ")[0]
        assert re.findall(r"^USER (.*)$", backup, re.M)[-1] == "10001:10001"
        for volume in compose["services"]["backup"]["volumes"][1:]:
            assert f" {volume.partition(':')[2]}" in backup  # made there, so that the volume is the user's

    async def test_its_health_check_tells_a_living_service_from_none(self, service) -> None:
        found = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", self.TEXT, re.M)
        assert found is not None
        python, *arguments = json.loads(found[1])
        assert python == "python"
        for port, healthy in ((service.url.rpartition(":")[2], True), (str(free_port()), False)):
            environment = {"PATH": os.environ["PATH"], "PORT": port}
            process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, env=environment, stderr=asyncio.subprocess.DEVNULL
            )
            assert (await process.wait() == 0) is healthy


class TestSystemd:
    @pytest.fixture
    def units(self, tmp_path) -> list[Path]:
        """Copies that name a program which is there: what is to be installed is not."""
        if shutil.which("systemd-analyze") is None:
            pytest.skip("no systemd-analyze here: apt-get install systemd")
        copies = [tmp_path / file.name for file in sorted((DEPLOY / "systemd").iterdir())]
        for copy in copies:
            copy.write_text((DEPLOY / "systemd" / copy.name).read_text().replace("/opt/cypher/bin/cypher", "/bin/true"))
        return copies

    def test_systemd_takes_the_units_and_finds_them_closed(self, units) -> None:
        passes("systemd-analyze", "verify", *units)
        for unit in units:
            # Of ten points of exposure two at most.
            passes("systemd-analyze", "security", "--offline=yes", "--threshold=20", unit)

    @pytest.mark.parametrize("file", sorted((DEPLOY / "systemd").iterdir()), ids=lambda file: file.name)
    def test_cypher_takes_what_a_unit_sets_beside_its_env(self, file: Path, tmp_path) -> None:
        unit = configparser.RawConfigParser(strict=False, delimiters=("=",))
        unit.read(file)
        environment = dict(re.findall(r"^Environment=([A-Z_]+)=(.*)$", file.read_text(), re.M))
        assert set(environment) <= KNOWN
        own = {**EXAMPLE, "MASTER_ENCRYPTION_PASSWORD": MASTER_PASSWORD}
        config = loaded({**own, **environment}, tmp_path, "%d/")
        assert str(config.keys.path) == f"/var/lib/{unit['Service'].get('StateDirectory', 'cypher')}/keys"
        program, command = unit["Service"]["ExecStart"].split()
        assert program == "/opt/cypher/bin/cypher"
        assert command in COMMANDS


class TestKubernetes:
    DOCUMENTS = tuple(yaml.safe_load_all((DEPLOY / "kubernetes" / "cypher.yaml").read_text()))

    @pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document["kind"])
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_kubernetes_knows_every_field(self, document) -> None:
        kubernetes_validate.validate(document, VERSION, strict=True)

    def test_cypher_takes_what_its_containers_get(self, tmp_path) -> None:
        kinds = {document["kind"]: document for document in self.DOCUMENTS}
        pod = kinds["Deployment"]["spec"]["template"]["spec"]
        settings = kinds["ConfigMap"]["data"]
        folders = {volume["name"]: volume["secret"]["secretName"] for volume in pod["volumes"]}
        for container in (*pod["initContainers"], *pod["containers"]):
            own = {each["name"]: each["value"] for each in container.get("env", ())}
            assert {*settings, *own} <= KNOWN
            mounted = [mount["mountPath"] + "/" for mount in container["volumeMounts"]]
            assert {mount["name"] for mount in container["volumeMounts"]} <= set(folders)
            config = loaded({**settings, **own}, tmp_path, *mounted)
            assert config.keys.store == "postgres"
            assert config.postgres.migration_user == own.get("POSTGRES_MIGRATION_USER")
            (command,) = container["args"]
            assert command in COMMANDS

    def test_what_belongs_together_is_found_by_one_label(self) -> None:
        labels = {"app.kubernetes.io/name": "cypher"}
        kinds = {document["kind"]: document["spec"] for document in self.DOCUMENTS if "spec" in document}
        assert kinds["Deployment"]["template"]["metadata"]["labels"] == labels
        assert kinds["Deployment"]["selector"]["matchLabels"] == labels
        assert kinds["PodDisruptionBudget"]["selector"]["matchLabels"] == labels
        assert kinds["Service"]["selector"] == labels
        assert kinds["PodDisruptionBudget"]["minAvailable"] < kinds["Deployment"]["replicas"]


@pytest.mark.parametrize("script", ["setup_database.sh", ".ci/run", ".ci/with-debian-servers"])
def test_shellcheck_has_nothing_to_say(script: str) -> None:
    passes(SCRIPTS / "shellcheck", ROOT / script)
