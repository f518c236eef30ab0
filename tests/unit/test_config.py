"""Settings: where they come from, which are refused, and that `.env.example` tells about all of them."""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from cypher.config import Config, Secret, load
from cypher.config.factors import FactorLimits
from cypher.config.limits import Category, LimitsConfig
from cypher.config.redis import RedisServers, servers_of
from cypher.crypto.keyring import RotationPolicy
from cypher.errors import SettingsRefused
from cypher.settings import Limit

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / ".env.example"
MASTER = "correct-horse-battery-staple-0123456789"
SERVERS = {
    "POSTGRES_HOST": "db",
    "POSTGRES_USER": "cypher",
    "POSTGRES_DB": "cypher",
    "POSTGRES_PASSWORD": "hidden-pg",
    "REDIS_HOST": "cache",
    "REDIS_PASSWORD": "hidden-redis",
    "MASTER_ENCRYPTION_PASSWORD": MASTER,
    "KEY_STORE_PATH": "/keys",
}


class Recording(Mapping[str, str]):
    """An environment that remembers every name it was asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values_by_name = dict(values)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("settings are asked for by name")

    def __len__(self) -> int:
        return len(self.values_by_name)


def problems(environ: Mapping[str, str], dotenv: Path | None = None) -> str:
    with pytest.raises(SettingsRefused) as refused:
        load(environ, dotenv)
    return "\n".join(refused.value.problems)


def dotenv(tmp_path: Path, text: str) -> Path:
    path = tmp_path / ".env"
    path.write_text(text)
    return path


# -- the whole ----------------------------------------------------------------------------------------------


def test_without_any_setting_everything_is_embedded() -> None:
    config = load({}, None)
    assert config.postgres.embedded
    assert config.redis.embedded
    assert config.keys.master_password is None
    assert config.keys.path == Path(".cypher/keys")
    assert config.http.public_origin == config.http.access_token_audience == "http://127.0.0.1:8080"
    assert config.registration == "open"


def test_nothing_in_redis_and_no_access_token_outlives_what_keys_wait_for() -> None:
    policy = RotationPolicy(age=timedelta(days=90), operations=1_000_000)
    assert policy.redis_life == policy.token_life == timedelta(seconds=3600)
    names = re.findall(r"^#([A-Z_]+_(?:FLOW|CACHE|TOKEN)_SECONDS)=", EXAMPLE.read_text(), re.M)
    assert len(names) >= 4
    for name in names:
        assert f"{name} must be a whole number" in problems({name: "3601"})


def test_defaults_are_those_of_the_security_design() -> None:
    config = load({}, None)
    assert config.sessions.idle == timedelta(days=7)
    assert config.sessions.absolute == timedelta(days=30)
    assert config.sessions.cache == timedelta(seconds=30)
    assert config.sessions.access_token == timedelta(minutes=5)
    assert config.sessions.refresh_grace == timedelta(seconds=10)
    assert config.sessions.login_flow == timedelta(seconds=60)
    assert config.factors.flow == timedelta(minutes=5)
    assert config.factors.fresh == timedelta(minutes=10)
    assert config.factors.limits == FactorLimits(
        short=Limit(hits=5, window=timedelta(minutes=15)), day=Limit(hits=20, window=timedelta(days=1)), total=100
    )
    assert config.keys.rotation_age == timedelta(days=90)
    assert config.keys.rotation_operations == 1_000_000
    assert config.keys.destroy_delay == timedelta(seconds=600)
    postgres = config.postgres
    assert (postgres.connect_seconds, postgres.acquire_seconds) == (2.0, 1.0)
    assert (postgres.statement_seconds, postgres.lock_seconds) == (2.0, 0.5)
    assert (config.redis.connect_seconds, config.redis.command_seconds) == (0.2, 0.25)
    limits = {name: getattr(config.limits, name) for name in LimitsConfig.__slots__}
    assert {name: (limit.hits, limit.window.total_seconds()) for name, limit in limits.items()} == {
        "login_name_address": (10, 900),
        "login_name": (100, 3600),
        "login_address": (30, 60),
        "registration_address": (5, 3600),
        "refresh_address": (60, 60),
        "default_address": (600, 60),
    }


def test_named_servers_are_used() -> None:
    config = load(SERVERS, None)
    assert config.postgres.hosts == ("db",)
    assert config.postgres.port == 5432
    assert config.postgres.password == Secret("hidden-pg")
    assert config.redis.url == "redis://cache:6379/0"
    assert config.redis.password == Secret("hidden-redis")
    assert config.keys.path == Path("/keys")


def test_servers_that_are_not_embedded_need_their_secrets_and_all_problems_are_listed_at_once() -> None:
    listed = problems({"POSTGRES_HOST": "db", "PORT": "x", "LOG_LEVEL": "loud", "SESSION_CACHE_SECONDS": "31"})
    for name in (
        "POSTGRES_USER",
        "POSTGRES_DB",
        "MASTER_ENCRYPTION_PASSWORD",
        "KEY_STORE_PATH",
        "PORT",
        "LOG_LEVEL",
        "SESSION_CACHE_SECONDS",
    ):
        assert re.search(rf"^{name} ", listed, re.MULTILINE), name


def test_example_and_settings_name_each_other() -> None:
    read = Recording({**SERVERS, "REDIS_URL": ""}), Recording({"REDIS_URL": "unix:///s"})
    for environ in read:
        load(environ, None)
    names = read[0].names | read[1].names
    secrets = {name for name in names if f"{name}_FILE" in names}
    settings = names - {f"{name}_FILE" for name in secrets}
    text = EXAMPLE.read_text()
    documented = re.findall(r"^#?([A-Z][A-Z0-9_]*)=", text, re.MULTILINE)
    assert len(documented) == len(set(documented))
    assert set(documented) == settings
    assert set(re.findall(r"\b[A-Z_]+\b", text.split("\n\n")[0])) >= secrets


def test_example_shows_the_defaults(tmp_path: Path) -> None:
    uncommented = re.sub(r"^#([A-Z][A-Z0-9_]*=)", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE)
    assert load({**SERVERS}, dotenv(tmp_path, uncommented)) == load({**SERVERS, "KEY_ROTATION_DAYS": "90"}, None)


def test_example_is_refused_for_its_master_password_only() -> None:
    assert problems({}, EXAMPLE).splitlines() == [
        "MASTER_ENCRYPTION_PASSWORD is the example from the documentation: draw your own"
    ]


# -- secrets --------------------------------------------------------------------------------------------------


def secrets_of(config: Config) -> list[str]:
    held = (config.postgres.password, config.redis.password, config.keys.master_password)
    return [secret.reveal() for secret in held if secret]


def test_secrets_never_show() -> None:
    config = load(
        {**SERVERS, "REDIS_HOST": "", "REDIS_PASSWORD": "", "REDIS_URL": "rediss://u:hidden%2Furl@c:1/2"}, None
    )
    assert secrets_of(config) == ["hidden-pg", "hidden/url", MASTER]
    assert config.redis.url == "rediss://u@c:1/2"
    shown = f"{config!r} {config} {config.keys.master_password} {config.keys.master_password!r}"
    assert "hidden" not in shown
    assert MASTER not in shown


def test_secrets_compare_by_value() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MASTER_ENCRYPTION_PASSWORD", "hidden" * 5),
        ("MASTER_ENCRYPTION_PASSWORD", "Your_Super_Secure_Master_Password"),
        ("PORT", "hidden"),
        ("REDIS_URL", "http://u:hidden@cache"),
        ("REDIS_URL", "redis://u:hidden@cache:port"),
        ("REDIS_URL", "unix:///s?password=hidden"),
        ("PUBLIC_ORIGIN", "https://u:hidden@host"),
        ("ALLOWED_ORIGINS", "https://a.example,https://hidden/path"),
        ("TRUSTED_PROXIES", "hidden"),
    ],
)
def test_refusals_name_the_setting_and_never_the_value(name: str, value: str) -> None:
    listed = problems({name: value})
    assert name in listed
    assert "hidden" not in listed.lower()
    assert value not in listed


GENERATED = {
    "base64": "3q2+7wAB/kZ1c0xJ9pQm8YtRvN4hGdE6sLfWuXiOaCo=",
    "base64url": "Zc-9_kQ1v8XmLr0TqWn3yHs7JdUfPgAeBiCtOoMlKjE",
    "hexadecimal": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}
CHOSEN = {
    "words": "correct horse battery staple, and then some more",
    "one letter": "a" * 64,
    "eleven letters": "abcdefghijk" * 4,
    "other signs": "!" + GENERATED["base64"],
    "other alphabets": "é" + GENERATED["base64"],
    "a line too many": GENERATED["base64"] + "\nx",
}


@pytest.mark.parametrize("password", GENERATED.values(), ids=GENERATED)
def test_keys_in_postgres_need_a_generated_password_and_no_path(password: str) -> None:
    config = load(
        {**SERVERS, "KEY_STORE": "postgres", "KEY_STORE_PATH": "", "MASTER_ENCRYPTION_PASSWORD": password}, None
    )
    assert (config.keys.store, config.keys.path) == ("postgres", None)


@pytest.mark.parametrize("password", CHOSEN.values(), ids=CHOSEN)
def test_keys_in_postgres_refuse_a_password_that_somebody_chose(password: str) -> None:
    settings = {**SERVERS, "MASTER_ENCRYPTION_PASSWORD": password}
    assert load(settings, None).keys.store == "directory"
    listed = problems({**settings, "KEY_STORE": "postgres"})
    assert re.match(r"MASTER_ENCRYPTION_PASSWORD must be drawn .*: openssl rand -base64 32$", listed)
    assert password not in listed


# -- single settings ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "８０８０"),  # noqa: RUF001
        ("PORT", "8_080"),
        ("PORT", "-1"),
        ("POSTGRES_POOL_MAX", "0"),
        ("POSTGRES_LOCK_MS", "9"),
        ("POSTGRES_STATEMENT_MS", "5001"),
        ("REDIS_COMMAND_MS", "0.25"),
        ("REDIS_WAIT_REPLICAS", "-1"),
        ("REGISTRATION", "maybe"),
        ("KEY_STORE", "memory"),
        ("KEY_ROTATION_DAYS", "0"),
        ("KEY_ROTATION_OPERATIONS", "1e6"),
        ("SESSION_IDLE_SECONDS", "59"),
        ("SESSION_CACHE_SECONDS", "0"),
        ("SESSION_CACHE_SECONDS", "31"),
        ("SESSION_ABSOLUTE_SECONDS", "604799"),
        ("ACCESS_TOKEN_SECONDS", "99999999999999999999"),
        ("PUBLIC_ORIGIN", "cypher.example"),
        ("PUBLIC_ORIGIN", "https://cypher.example/path"),
        ("PUBLIC_ORIGIN", "https://cypher.example?x"),
        ("PUBLIC_ORIGIN", "https://bücher.example"),
        ("PUBLIC_ORIGIN", "https://cypher.example:0"),
        ("PUBLIC_ORIGIN", "https://cypher.example:65536"),
        ("ALLOWED_ORIGINS", "*"),
        ("ALLOWED_ORIGINS", "null"),
        ("ALLOWED_ORIGINS", "https://*.example"),
        ("ALLOWED_ORIGINS", "https://a.example https://b.example"),
        ("ALLOWED_ORIGINS", "https://a.example,b.example"),
        ("ALLOWED_ORIGINS", "file:///"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("REDIS_HOST", "redis://cache"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "unix://"),
        ("REDIS_URL", "redis://cache?socket_timeout=99"),
        ("REDIS_URL", "redis://[::1"),
        ("REDIS_URL", "redis+sentinel://a:1,b:2"),
        ("REDIS_URL", "redis+sentinel://a:1,:2/primary"),
        ("REDIS_URL", "redis+sentinel://a:1,b:port/primary"),
        ("REDIS_URL", "redis+sentinel://a:1/primary/first"),
        ("REDIS_URL", "redis+cluster://a:1,b:2/1"),
        ("REDIS_URL", "redis+cluster://"),
        ("REDIS_URL", "redis+cluster://a?socket_timeout=99"),
        ("REDIS_URL", "redis+nowhere://a"),
        ("LOG_FORMAT", "xml"),
        ("MFA_FLOW_SECONDS", "0"),
        ("REAUTHENTICATION_SECONDS", "86401"),
        ("TOTP_FAILURES_SHORT", "5"),
        ("TOTP_FAILURES_SHORT", "0/900"),
        ("TOTP_FAILURES_DAY", "20/86401"),
        ("TOTP_FAILURES_TOTAL", "off"),
        ("TOTP_FAILURES_TOTAL", "0"),
    ],
)
def test_refused(name: str, value: str) -> None:
    assert name in problems({name: value})


def test_the_windows_on_wrong_codes_can_be_set_and_turned_off() -> None:
    limits = load({"TOTP_FAILURES_SHORT": "3/7", "TOTP_FAILURES_DAY": "OFF"}, None).factors.limits
    assert limits.short == Limit(hits=3, window=timedelta(seconds=7))
    assert limits.day is None


def test_two_names_for_one_redis_are_refused() -> None:
    assert "keep one" in problems({"REDIS_URL": "redis://a", "REDIS_HOST": "b"})
    assert "keep one" in problems({"REDIS_URL": "redis://:p@a", "REDIS_PASSWORD": "p"})


@pytest.mark.parametrize("url", ["redis://[::1]:7000/1", "rediss://cache:6380", "unix:///run/redis.sock?db=2"])
def test_redis_urls(url: str) -> None:
    config = load({"REDIS_URL": url, "REDIS_PASSWORD": "p"}, None)
    assert config.redis.url == url
    assert config.redis.password == Secret("p")


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        (
            "redis+cluster://a,b:7001",
            RedisServers(nodes=(("a", 6379), ("b", 7001)), primary=None, each="redis://a:6379/"),
        ),
        (
            "rediss+sentinel://u@[::1]:1,b/main/2?ssl_ca_certs=/ca",
            RedisServers(
                nodes=(("::1", 1), ("b", 26379)), primary="main", each="rediss://u@[::1]:1/2?ssl_ca_certs=/ca"
            ),
        ),
        ("redis://a,b", None),
    ],
)
def test_urls_of_several_servers(url: str, servers: RedisServers | None) -> None:
    assert servers_of(url) == servers


@pytest.mark.parametrize(
    ("settings", "replicas"),
    [
        ({}, 0),
        ({"REDIS_URL": "redis://a"}, 0),
        ({"REDIS_URL": "redis://a", "REDIS_WAIT_REPLICAS": "2"}, 2),
        ({"REDIS_URL": "redis+sentinel://a/main"}, 1),
        ({"REDIS_URL": "redis+cluster://a"}, 1),
        ({"REDIS_URL": "redis+cluster://a", "REDIS_WAIT_REPLICAS": "0"}, 0),
    ],
)
def test_a_replica_is_waited_for_where_one_is_promoted(settings: dict[str, str], replicas: int) -> None:
    assert load(settings, None).redis.wait_replicas == replicas


def test_the_password_of_several_servers_is_kept_apart() -> None:
    config = load({"REDIS_URL": "redis+sentinel://u:hidden%2F@a:1,b:2/main"}, None).redis
    assert (config.url, config.password) == ("redis+sentinel://u@a:1,b:2/main", Secret("hidden/"))


def test_addresses_of_version_6_are_bracketed() -> None:
    config = load({"HOST": "::1", "REDIS_HOST": "::1"}, None)
    assert config.http.public_origin == "http://[::1]:8080"
    assert config.redis.url == "redis://[::1]:6379/0"


def test_lists_origin_and_words_are_normalised() -> None:
    config = load(
        {
            **SERVERS,
            "POSTGRES_HOST": "a, b,",
            "POSTGRES_SSLMODE": "verify-full",
            "TRUSTED_PROXIES": "10.0.0.0/8, 2001:db8::1",
            "PUBLIC_ORIGIN": "HTTPS://Cypher.Example:8443/",
            "REGISTRATION": "Closed",
        },
        None,
    )
    assert config.postgres.hosts == ("a", "b")
    assert config.postgres.sslmode == "verify-full"
    assert config.http.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("2001:db8::1"))
    assert config.http.public_origin == config.http.access_token_audience == "https://cypher.example:8443"
    assert config.registration == "closed"


def test_origins_are_written_as_a_browser_sends_them() -> None:
    origins = "https://App.example:443/, http://localhost:03000, http://[::1]:80, https://a.example,https://a.example"
    assert load({"ALLOWED_ORIGINS": origins}, None).http.allowed_origins == {
        "https://app.example",
        "http://localhost:3000",
        "http://[::1]",
        "https://a.example",
    }
    assert load({"PUBLIC_ORIGIN": "https://cypher.example:443"}, None).http.public_origin == "https://cypher.example"
    assert load({"PORT": "80"}, None).http.public_origin == "http://127.0.0.1"
    assert load({}, None).http.allowed_origins == frozenset()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"POSTGRES_SSLROOTCERT": "/nowhere"}, "POSTGRES_SSLROOTCERT names a file that cannot be read"),
        ({"POSTGRES_SSLROOTCERT": "FILE", "POSTGRES_SSLMODE": "require"}, "POSTGRES_SSLMODE to be verify-full"),
        ({"POSTGRES_SSLCERT": "FILE"}, "needed together"),
        ({"POSTGRES_SSLCERT": "FILE", "POSTGRES_SSLKEY": "FILE"}, "POSTGRES_SSLMODE to be require or more"),
        ({"REDIS_URL": "rediss://h?ssl_ca_certs=/nowhere"}, "names a file in ssl_ca_certs that cannot be read"),
        ({"REDIS_URL": "redis://h?ssl_ca_certs=FILE"}, "must begin with rediss"),
        ({"REDIS_URL": "unix:///s?ssl_ca_certs=FILE"}, "must begin with rediss"),
        ({"REDIS_URL": "rediss+cluster://h?ssl_certfile=FILE"}, "ssl_certfile and ssl_keyfile together"),
    ],
)
def test_a_certificate_that_would_be_left_aside_is_refused(tmp_path: Path, settings, problem: str) -> None:
    (file := tmp_path / "file").touch()
    given = {name: value.replace("FILE", str(file)) for name, value in settings.items()}
    assert problem in problems({**SERVERS, "REDIS_HOST": "", **given})


def test_the_files_of_tls_go_to_the_drivers_by_libpqs_names(tmp_path: Path) -> None:
    (file := tmp_path / "file").touch()
    names = ("POSTGRES_SSLROOTCERT", "POSTGRES_SSLCERT", "POSTGRES_SSLKEY")
    given = load({**SERVERS, **dict.fromkeys(names, str(file))}, None).postgres.tls()
    assert given == {"sslmode": "verify-full", "sslrootcert": str(file), "sslcert": str(file), "sslkey": str(file)}
    assert load(SERVERS, None).postgres.tls() == {}


def test_migration_password_needs_its_user() -> None:
    assert "POSTGRES_MIGRATION_USER" in problems({**SERVERS, "POSTGRES_MIGRATION_PASSWORD": "p"})


def test_a_pooler_is_one_that_lends_connections_for_a_transaction() -> None:
    assert not load(SERVERS, None).postgres.pooled
    assert load({**SERVERS, "POSTGRES_POOLER": "transaction"}, None).postgres.pooled
    assert "POSTGRES_POOLER must be one of: off, transaction" in problems({**SERVERS, "POSTGRES_POOLER": "statement"})


# -- limits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "limit"), [("3/7", (3, 7)), ("10000/86400", (10_000, 86_400)), ("off", None)])
@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_a_limit_is_hits_and_seconds_or_off(text: str, limit: tuple[int, int] | None, case) -> None:
    found = load({"RATE_LIMIT_LOGIN_NAME": case(text)}, None).limits.login_name
    assert (found and (found.hits, found.window.total_seconds())) == limit


@pytest.mark.parametrize(
    "text",
    [
        "0/60",
        "1/0",
        "10001/60",
        "1/86401",
        "10",
        "10/",
        "/60",
        "10/60/1",
        "-1/60",
        "1.5/60",
        "\uff11/60",
        "none",
        "1 / 60",
    ],
)
def test_what_is_no_limit_is_refused_and_nothing_runs_without_one(text: str) -> None:
    assert problems({"RATE_LIMIT_LOGIN_NAME": text}).startswith("RATE_LIMIT_LOGIN_NAME must be hits/seconds")


def test_a_known_device_is_given_what_a_name_at_an_address_is_given() -> None:
    limits = load({}, None).limits
    assert limits.of(Category.LOGIN_DEVICE) == limits.of(Category.LOGIN_NAME_ADDRESS)


# -- operators ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "host", "port"),
    [
        ({}, "127.0.0.1", 8090),
        ({"PORT": "9000"}, "127.0.0.1", 9010),
        ({"ADMIN_PORT": "1", "ADMIN_HOST": "10.0.0.1"}, "10.0.0.1", 1),
        ({"ADMIN_PORT": "off"}, "127.0.0.1", None),
        ({"ADMIN_PORT": " OFF ", "PORT": "65535"}, "127.0.0.1", None),
    ],
)
def test_operators_are_answered_beside_the_public_port_or_nowhere(
    settings: dict[str, str], host: str, port: int | None
) -> None:
    config = load(settings, None)
    assert (config.operators.host, config.operators.port) == (host, port)


@pytest.mark.parametrize(
    "settings",
    [
        {"ADMIN_PORT": "0"},
        {"ADMIN_PORT": "65536"},
        {"ADMIN_PORT": "none"},
        {"ADMIN_PORT": "8080"},
        {"PORT": "8090", "ADMIN_PORT": "8090"},
        {"PORT": "65526"},
    ],
)
def test_operators_are_never_answered_on_the_public_port_or_on_none(settings: dict[str, str]) -> None:
    [problem] = problems(settings).splitlines()
    assert problem.startswith("ADMIN_PORT must ")


# -- recovery -------------------------------------------------------------------------------------------------

WEBHOOK = {"RECOVERY_WEBHOOK": "https://mailer.example.com/hook?key=hidden-key", "RECOVERY_WEBHOOK_SECRET": "s" * 32}


def test_a_webhook_is_off_by_default_and_needs_a_secret_that_shows_itself_nowhere() -> None:
    assert load({}, None).recovery.webhook is None
    webhook = load(WEBHOOK, None).recovery.webhook
    assert webhook is not None
    assert webhook.url.reveal() == WEBHOOK["RECOVERY_WEBHOOK"]
    assert webhook.secret.reveal() == "s" * 32
    assert "hidden-key" not in repr(webhook)
    assert "sss" not in repr(webhook)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"RECOVERY_WEBHOOK_SECRET": ""}, "RECOVERY_WEBHOOK needs a RECOVERY_WEBHOOK_SECRET of 32"),
        ({"RECOVERY_WEBHOOK_SECRET": "hidden-short"}, "RECOVERY_WEBHOOK needs a RECOVERY_WEBHOOK_SECRET of 32"),
        ({"RECOVERY_WEBHOOK": ""}, "RECOVERY_WEBHOOK_SECRET is set without RECOVERY_WEBHOOK"),
        ({"RECOVERY_WEBHOOK": "hidden-key"}, "RECOVERY_WEBHOOK must be a URL"),
        ({"RECOVERY_WEBHOOK": "ftp://hidden-key"}, "RECOVERY_WEBHOOK must be a URL"),
        ({"RECOVERY_WEBHOOK": "https:///hidden-key"}, "RECOVERY_WEBHOOK must be a URL"),
        ({"RECOVERY_WEBHOOK": "https://host:hidden-key/"}, "RECOVERY_WEBHOOK must be a URL"),
        ({"RECOVERY_WEBHOOK": "https://[hidden-key/"}, "RECOVERY_WEBHOOK must be a URL"),
    ],
)
def test_a_webhook_that_cannot_serve_is_refused_without_its_value(changes: dict[str, str], said: str) -> None:
    listed = problems({**WEBHOOK, **changes})
    assert listed.startswith(said)
    assert "hidden" not in listed


# -- the audit trail ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("off", None),
        ("OFF", None),
        ("stdout", "stdout"),
        ("/var/lib/elsewhere/checkpoints", Path("/var/lib/elsewhere/checkpoints")),
        ("checkpoints.jsonl", Path("checkpoints.jsonl")),
        ("https://hooks.example.com/x?token=hidden", "https://hooks.example.com/x?token=hidden"),
    ],
)
def test_checkpoints_go_where_the_setting_says(value: str, place: object) -> None:
    assert load({**SERVERS, "AUDIT_CHECKPOINT": value}, None).audit.checkpoint == place


def test_checkpoints_go_to_a_file_beside_embedded_servers_and_nowhere_else_unasked() -> None:
    assert load({}, None).audit.checkpoint == Path(".cypher/audit-checkpoints.jsonl")
    assert load({"EMBEDDED_PATH": "/x"}, None).audit.checkpoint == Path("/x/audit-checkpoints.jsonl")
    assert load(SERVERS, None).audit.checkpoint is None


@pytest.mark.parametrize("value", ["ftp://hidden", "https://", "http://[hidden", "://hidden"])
def test_a_place_for_checkpoints_that_is_none_is_refused_unseen(value: str) -> None:
    refused = problems({**SERVERS, "AUDIT_CHECKPOINT": value})
    assert "AUDIT_CHECKPOINT must be" in refused
    assert "hidden" not in refused


@pytest.mark.parametrize("days", ["29", "3651", "x"])
def test_the_trail_is_kept_for_a_sensible_time(days: str) -> None:
    assert "AUDIT_RETENTION_DAYS" in problems({**SERVERS, "AUDIT_RETENTION_DAYS": days})
    assert load(SERVERS, None).audit.retention_days == 400
