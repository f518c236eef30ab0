"""TLS to PostgreSQL and to Redis: the right certificate is let in, a wrong one is not, and neither is a wrong name."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cypher.backup.creating import Target, create_backup
from cypher.backup.dumping import dump
from cypher.backup.programs import Program
from cypher.clock import SystemClock
from cypher.config import PostgresConfig, RedisConfig, Secret, load
from cypher.doctor import Patient
from cypher.doctor.checks.certificates import check_certificates, check_private_keys
from cypher.doctor.checks.postgres import check_postgres, check_postgres_tls
from cypher.doctor.checks.redis import check_redis, check_redis_eviction, check_redis_persistence
from cypher.doctor.examination import Check
from cypher.embedded import postgres_binaries
from cypher.errors import KeyStoreRefused, OperatorError, PostgresUnavailable, RedisUnavailable
from cypher.migrate import create_database, migrate
from cypher.postgres import Database
from cypher.postgres_keys import PostgresKeyStore
from cypher.redis_client import RedisClient
from cypher.repositories.deployment import DeploymentOnly
from cypher.schema import names, pending
from tests.acceptance.backup.steps import SILENT
from tests.acceptance.person import Person
from tests.acceptance.service import environment_of, start
from tests.conftest import patient
from tests.debian_servers import SUPERUSER_PASSWORD, debian_postgres, debian_redis, own_address
from tests.factories import as_owner
from tests.processes import private_folder
from tests.tls import Authority, Issued

pytestmark = pytest.mark.slow

#: Who has a certificate needs no password; nobody but one role comes in without TLS.
RULES = """\
hostssl   all certified all cert
hostnossl all plain     all scram-sha-256
hostssl   all all       all scram-sha-256"""
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
#: Looks like another machine.
ELSEWHERE = own_address()


@dataclass(frozen=True)
class Certificates:
    """Those of one test run; `server` is for `localhost` and ELSEWHERE, not for 127.0.0.1."""

    folder: Path
    authority: Authority
    stranger: Authority  #: whom nobody trusts
    server: Issued
    certified: Issued


@pytest.fixture(scope="module")
def certificates() -> Iterator[Certificates]:
    with private_folder() as folder:
        folder.chmod(0o711)  # PostgreSQL, as another user, passes through
        authority = Authority(folder)
        yield Certificates(
            folder=folder,
            authority=authority,
            stranger=Authority(folder, "stranger"),
            server=authority.issue("server", *filter(None, ("localhost", ELSEWHERE))),
            certified=authority.issue("certified"),
        )


# -- PostgreSQL ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postgres(certificates: Certificates) -> Iterator[PostgresConfig]:
    """A server whose schema was made over TLS."""
    server, owned = certificates.server, (certificates.server.certificate, certificates.server.key)
    options = (
        "-c ssl=on",
        f"-c ssl_cert_file={server.certificate}",
        f"-c ssl_key_file={server.key}",
        f"-c ssl_ca_file={certificates.authority.file}",
    )
    with debian_postgres(certificates.folder, RULES, *options, files=owned) as port:
        settings = {
            "POSTGRES_HOST": "localhost",
            "POSTGRES_PORT": str(port),
            "POSTGRES_USER": "cypher_user",
            "POSTGRES_PASSWORD": "password-of-the-service",
            "POSTGRES_DB": "cypher_db",
            "POSTGRES_MIGRATION_USER": "postgres",
            "POSTGRES_MIGRATION_PASSWORD": SUPERUSER_PASSWORD,
            "POSTGRES_SSLROOTCERT": str(certificates.authority.file),
            "REDIS_HOST": "localhost",
            "MASTER_ENCRYPTION_PASSWORD": "a master password for tests, long enough",
            "KEY_STORE_PATH": str(certificates.folder / "keys"),
        }
        config = load(settings, None).postgres
        create_database(config)
        assert migrate(config) == names()
        as_owner(config, "CREATE ROLE certified LOGIN IN ROLE cypher_service")
        as_owner(config, "CREATE ROLE plain LOGIN PASSWORD 'password-of-the-service' IN ROLE cypher_service")
        yield config


async def by_pool(config: PostgresConfig) -> bool:
    database = await Database.open(config, DeploymentOnly.over)
    try:
        return await database.ping()
    finally:
        await database.close()


async def by_migrations(config: PostgresConfig) -> bool:
    try:
        return await asyncio.to_thread(pending, config) == []
    except PostgresUnavailable:
        return False


async def by_key_store(config: PostgresConfig) -> bool:
    try:
        return await asyncio.to_thread(PostgresKeyStore(config).read) is None
    except KeyStoreRefused:
        return False


@pytest.fixture(params=[by_pool, by_migrations, by_key_store])
def reaches(request: pytest.FixtureRequest) -> Callable:
    """Each of the ways to PostgreSQL."""
    return request.param


async def test_a_root_certificate_asks_for_verify_full_by_itself(postgres: PostgresConfig, reaches) -> None:
    assert postgres.sslmode == "verify-full"
    assert await reaches(postgres)


async def test_nobody_is_met_without_tls_where_the_server_asks_for_it(postgres: PostgresConfig, reaches) -> None:
    assert not await reaches(replace(postgres, sslmode="disable", sslrootcert=None))
    assert await reaches(replace(postgres, sslmode=None, sslrootcert=None))


async def test_a_server_with_a_certificate_of_somebody_else_is_refused(
    postgres: PostgresConfig, certificates: Certificates, reaches
) -> None:
    for mode in ("verify-ca", "verify-full"):
        stranger = replace(postgres, sslmode=mode, sslrootcert=certificates.stranger.file)
        assert not await reaches(stranger)


async def test_verify_full_compares_the_name_and_verify_ca_does_not(postgres: PostgresConfig, reaches) -> None:
    by_address = replace(postgres, hosts=("127.0.0.1",))
    assert not await reaches(by_address)
    assert await reaches(replace(by_address, sslmode="verify-ca"))


async def test_a_server_that_asks_for_a_certificate_gets_ours(
    postgres: PostgresConfig, certificates: Certificates, reaches
) -> None:
    certified = replace(postgres, user="certified", password=None)
    mine = certificates.certified
    assert await reaches(replace(certified, sslcert=mine.certificate, sslkey=mine.key))
    assert not await reaches(certified)
    foreign = certificates.stranger.issue("certified-by-a-stranger")
    assert not await reaches(replace(certified, sslcert=foreign.certificate, sslkey=foreign.key))


# -- Redis --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def redis_options(certificates: Certificates) -> tuple[object, ...]:
    server = certificates.server
    return (
        *("--tls-cert-file", server.certificate, "--tls-key-file", server.key),
        *("--tls-ca-cert-file", certificates.authority.file),
    )


#: What docs/operations.md shows.
ACL = "~cypher:* +@read +@write +@connection +@scripting +time -@dangerous +info +config|get"


@pytest.fixture(scope="module")
def redis_port(certificates: Certificates, redis_options) -> Iterator[int]:
    rights = ("--user", "default", "off", "--user", "cypher", "on", ">password-of-the-user", *ACL.split())
    rights += ("--user", "mute", "on", ">password-of-the-user", *ACL.replace("+info", "").split())
    with debian_redis(certificates.folder, *redis_options, "--tls-auth-clients", "no", *rights) as port:
        yield port


def redis_config(url: str, password: str = "password-of-the-user") -> RedisConfig:
    return patient(load({"REDIS_URL": url, "REDIS_PASSWORD": password}, None).redis)


async def answers(config: RedisConfig) -> bool:
    client = RedisClient.open(config, SystemClock())
    try:
        return await client.ping()
    finally:
        await client.close()


@pytest.fixture
async def redis(certificates: Certificates, redis_port: int) -> AsyncIterator[RedisClient]:
    url = f"rediss://cypher@localhost:{redis_port}/0?ssl_ca_certs={certificates.authority.file}"
    client = RedisClient.open(redis_config(url), SystemClock())
    yield client
    await client.close()


async def test_redis_is_met_with_tls_as_a_user_of_its_acl(redis: RedisClient) -> None:
    assert await redis.set("cypher:x", b"1", px=60_000)
    assert await redis.get("cypher:x") == b"1"
    assert [name async for name in redis.scan("cypher:*")] == ["cypher:x"]
    run = redis.script("return redis.call('TIME')[1] .. redis.call('GETDEL', KEYS[1])")
    assert str(await run(["cypher:x"], [])).endswith("1'")


async def test_the_user_reaches_nothing_but_what_is_cyphers(redis: RedisClient) -> None:
    with pytest.raises(RedisUnavailable) as refused:
        await redis.set("other:x", b"1", px=60_000)
    assert "permissions" in str(refused.value.__cause__)


@pytest.mark.parametrize(
    ("host", "authority", "user", "password"),
    [
        ("localhost", "stranger", "cypher", "password-of-the-user"),
        ("127.0.0.1", "authority", "cypher", "password-of-the-user"),
        ("localhost", "authority", "somebody", "password-of-the-user"),
        ("localhost", "authority", "cypher", "wrong"),
    ],
    ids=["another authority", "another name", "another user", "another password"],
)
async def test_redis_is_refused(certificates, redis_port, host, authority, user, password) -> None:
    trusted = certificates.folder / f"{authority}.crt"
    assert not await answers(redis_config(f"rediss://{user}@{host}:{redis_port}/0?ssl_ca_certs={trusted}", password))


async def test_without_an_authority_of_ours_redis_must_be_known_to_the_system(redis_port) -> None:
    assert not await answers(redis_config(f"rediss://cypher@localhost:{redis_port}/0"))


async def test_redis_is_shown_our_certificate(certificates: Certificates, redis_options) -> None:
    (folder := certificates.folder / "asking").mkdir()
    with debian_redis(folder, *redis_options, "--tls-auth-clients", "yes") as port:
        url = f"rediss://localhost:{port}/0?ssl_ca_certs={certificates.authority.file}"
        mine = certificates.certified
        assert await answers(redis_config(f"{url}&ssl_certfile={mine.certificate}&ssl_keyfile={mine.key}", ""))
        assert not await answers(redis_config(url, ""))


# -- what the doctor says of it -----------------------------------------------------------------------------


async def told(check: Check, **config: object) -> list[str]:
    """Return what a check says of these settings."""
    patient = Patient(replace(load({}, None), **config), [], Path("no.env"), SystemClock())
    try:
        return [f"{finding.level}: {finding.text}" async for finding in check(patient)]
    finally:
        await patient.close()


@pytest.mark.skipif(ELSEWHERE is None, reason="this machine has no address but loopback")
async def test_the_doctor_warns_of_another_machine_that_is_met_without_tls(postgres: PostgresConfig) -> None:
    elsewhere = replace(postgres, hosts=(ELSEWHERE or "",))
    plain = replace(elsewhere, user="plain", sslmode="disable", sslrootcert=None)
    [without] = await told(check_postgres_tls, postgres=plain)
    assert without.startswith(f"warning: PostgreSQL is another machine ({ELSEWHERE}) and is met without TLS")
    [unknown] = await told(check_postgres_tls, postgres=replace(elsewhere, sslmode="require", sslrootcert=None))
    assert "its certificate is not looked at" in unknown
    assert await told(check_postgres_tls, postgres=elsewhere) == []
    assert await told(check_postgres_tls, postgres=replace(plain, hosts=("127.0.0.1",))) == []


async def test_the_doctor_says_why_postgresql_is_not_reached(
    postgres: PostgresConfig, certificates: Certificates
) -> None:
    stranger = replace(postgres, sslrootcert=certificates.stranger.file)
    for config, words in (
        (stranger, "POSTGRES_SSLROOTCERT"),
        (replace(postgres, hosts=("127.0.0.1",)), "the name in POSTGRES_HOST"),
        (replace(postgres, sslmode="disable", sslrootcert=None), "pg_hba.conf"),
        (replace(postgres, password=Secret("wrong")), "POSTGRES_PASSWORD"),
    ):
        [line] = await told(check_postgres, postgres=config)
        assert line.startswith("problem: PostgreSQL at ")
        assert words in line
    assert await told(check_postgres, postgres=postgres) == []


async def test_the_doctor_says_why_redis_is_not_reached_or_says_nothing(certificates, redis_port) -> None:
    def url(host: str, user: str = "cypher", trusted: str = "authority") -> str:
        return f"rediss://{user}@{host}:{redis_port}/0?ssl_ca_certs={certificates.folder / trusted}.crt"

    for config, words in (
        (redis_config(url("localhost", trusted="stranger")), "ssl_ca_certs"),
        (redis_config(url("127.0.0.1")), "ssl_ca_certs"),
        (redis_config(url("localhost"), "wrong"), "REDIS_PASSWORD"),
        (redis_config(url("localhost", user="mute")), "+info"),
    ):
        [line] = await told(check_redis, redis=config)
        assert words in line
    whole = redis_config(url("localhost"))
    assert await told(check_redis, redis=whole) == await told(check_redis_eviction, redis=whole) == []
    [line] = await told(check_redis_persistence, redis=whole)
    assert "appendonly" in line


@pytest.mark.skipif(not BUNDLE.exists(), reason="there is no bundle here: apt-get install ca-certificates")
async def test_the_doctor_reads_the_bundle_of_the_system_and_until_when_our_own_certificate_holds(
    postgres: PostgresConfig, certificates: Certificates
) -> None:
    mine = certificates.certified
    config = replace(postgres, sslrootcert=BUNDLE, sslcert=mine.certificate, sslkey=mine.key)
    [line] = await told(check_certificates, postgres=config)
    assert line.startswith("warning: The certificate of POSTGRES_SSLCERT")
    assert await told(check_private_keys, postgres=config) == []


async def test_a_dump_by_a_program_without_tls_fails_with_what_to_install(
    postgres: PostgresConfig, certificates: Certificates
) -> None:
    """The server lets nobody in without, and the settings leave it open."""
    program = Program(major=18, lacks_tls=True, path=postgres_binaries() / "pg_dump")
    unsaid = replace(postgres, sslmode=None, sslrootcert=None)
    with pytest.raises(OperatorError, match=r"no encryption\. .* knows no TLS: install PostgreSQL's client"):
        await dump(program, unsaid, "0", certificates.folder / "no-dump", lambda done: None)


# -- both ---------------------------------------------------------------------------------------------------


async def test_a_service_lives_on_servers_that_it_meets_with_tls(
    postgres: PostgresConfig, certificates: Certificates, redis_port: int, http
) -> None:
    url = f"rediss://cypher@localhost:{redis_port}/0?ssl_ca_certs={certificates.authority.file}"
    environment = environment_of(postgres, redis_config(url), certificates.folder / "keys")
    environment |= {"POSTGRES_SSLROOTCERT": str(postgres.sslrootcert), "RATE_LIMIT_LOGIN_NAME": "10/60"}
    service = await start(environment)
    try:
        person = Person(http, service.url, "alice")
        assert (await person.register()).status == 201
        assert (await person.login()).status == 200
        assert (await person.ask("GET", "/health/ready")).body["status"] == "ok"
        target = Target(data=certificates.folder / "backup", keys=certificates.folder / "backup-keys")
        assert (await create_backup(service.resources, target, SILENT)).contents.pg_dump == 15
    finally:
        await service.stop()
