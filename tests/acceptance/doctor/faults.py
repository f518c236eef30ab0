"""Faults to plant in an installation: how, and the line of the doctor that has to name each."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from cypher.crypto.keyring import Algorithm, Purpose, State
from cypher.crypto.keystore import FILE
from cypher.crypto.rotation import rotate
from cypher.doctor import Level
from tests.acceptance.doctor.installation import MASTER_PASSWORD, Installation
from tests.tls import Authority

DAY = timedelta(days=1)
SECRET = "a-secret-that-nobody-may-see-0123456789"
FOREIGN_KEY = "data-20200101-deadbeef"

#: Yields what `Installation.examine` is to be given.
Planting = Callable[[Installation], Iterator[dict[str, Any]]]
Plant = Callable[[Installation], AbstractContextManager[dict[str, Any]]]


@dataclass(frozen=True)
class Fault:
    """What is planted, and the line that names it: its check, its level, words of its text."""

    name: str
    check: str
    level: Level
    words: str
    plant: Plant


FAULTS: list[Fault] = []


def fault(check: str, level: Level, words: str) -> Callable[[Planting], Plant]:
    """Add what plants a fault, yields and takes it back."""

    def planted(plant: Planting) -> Plant:
        FAULTS.append(Fault(plant.__name__, check, level, words, contextmanager(plant)))
        return FAULTS[-1].plant

    return planted


def setting(name: str, check: str, level: Level, words: str, shift: timedelta | None = None, **settings: str) -> None:
    """Add a fault that is only in the settings, or only in the clock."""
    given = {**settings, **({"shift": shift} if shift else {})}

    @contextmanager
    def plant(at: Installation) -> Iterator[dict[str, Any]]:
        yield given

    FAULTS.append(Fault(name, check, level, words, plant))


PROBLEM, WARNING = Level.PROBLEM, Level.WARNING

# -- settings -----------------------------------------------------------------------------------------------

setting("no number", "settings", PROBLEM, "POSTGRES_POOL_MAX must be a whole number", POSTGRES_POOL_MAX="many")
setting("example kept", "settings", PROBLEM, "MASTER_ENCRYPTION_PASSWORD is the example",
        MASTER_ENCRYPTION_PASSWORD="your_super_secure_master_password")  # fmt: skip
setting("example password", "example_passwords", PROBLEM, "POSTGRES_PASSWORD", POSTGRES_PASSWORD="change_this_password")
setting("name as password", "example_passwords", PROBLEM, "POSTGRES_PASSWORD", POSTGRES_PASSWORD="cypher")
setting("short password", "example_passwords", WARNING, "fewer than 12", POSTGRES_PASSWORD="k7Gw2p")
setting("one password for two", "reused_passwords", PROBLEM, "the same as POSTGRES_PASSWORD",
        POSTGRES_PASSWORD=SECRET, POSTGRES_MIGRATION_PASSWORD=SECRET)  # fmt: skip
setting("master password for PostgreSQL", "reused_passwords", PROBLEM, "MASTER_ENCRYPTION_PASSWORD is the same as",
        POSTGRES_PASSWORD=MASTER_PASSWORD)  # fmt: skip
setting("Redis without a password", "missing_passwords", WARNING, "requirepass", REDIS_URL="redis://127.0.0.1:9")
setting("Redis elsewhere without a password", "missing_passwords", PROBLEM, "requirepass", REDIS_URL="redis://[::2]:9")
setting("thought-up master password", "master_password", WARNING, "looks thought up",
        MASTER_ENCRYPTION_PASSWORD="correct horse battery staple and more")  # fmt: skip
setting("embedded", "embedded", WARNING, "Valkey", REDIS_URL="")


@fault("env_file", PROBLEM, "chmod 600")
def open_env_file(at: Installation) -> Iterator[dict[str, Any]]:
    dotenv = at.folder / "open.env"
    dotenv.write_text("# nothing\n")
    dotenv.chmod(0o644)
    yield {"dotenv": dotenv}


# -- who reaches the service --------------------------------------------------------------------------------

setting("origin without TLS", "public_origin", PROBLEM, "tokens cross the wire", PUBLIC_ORIGIN="http://login.example")
setting("everybody reaches it", "public_origin", PROBLEM, "tokens cross the wire", HOST="0.0.0.0")
setting("more reach it than should", "public_origin", WARNING, "lets other machines in", HOST="0.0.0.0",
        PUBLIC_ORIGIN="http://localhost:8080")  # fmt: skip
setting("unknown proxy", "proxies", PROBLEM, "TRUSTED_PROXIES is empty", PUBLIC_ORIGIN="https://login.example")
setting("anybody is a proxy", "proxies", PROBLEM, "0.0.0.0/0", TRUSTED_PROXIES="0.0.0.0/0")
setting("past the proxy", "proxies", WARNING, "HOST=127.0.0.1", HOST="0.0.0.0", TRUSTED_PROXIES="127.0.0.1",
        PUBLIC_ORIGIN="https://login.example")  # fmt: skip
setting("operators on the wire", "operators_listener", WARNING, "ADMIN_HOST", ADMIN_HOST="0.0.0.0")
setting("no limit", "limits", WARNING, "RATE_LIMIT_LOGIN_NAME", RATE_LIMIT_LOGIN_NAME="off")
setting("plain webhook", "webhooks", PROBLEM, "RECOVERY_WEBHOOK", RECOVERY_WEBHOOK="http://mail.example/hook",
        RECOVERY_WEBHOOK_SECRET=SECRET)  # fmt: skip

# -- PostgreSQL ---------------------------------------------------------------------------------------------

setting("PostgreSQL away", "postgres", PROBLEM, "does not answer", POSTGRES_HOST="127.0.0.1", POSTGRES_PORT="9")
setting("no such database", "postgres", PROBLEM, "no such database", POSTGRES_DB="nowhere")
setting("no such role", "postgres", PROBLEM, "POSTGRES_USER", POSTGRES_USER="nobody")
setting("clock a little late", "clock", WARNING, "s apart", shift=timedelta(seconds=-10))
setting("clock wrong", "clock", PROBLEM, "s apart", shift=timedelta(minutes=10))
setting("pool too large", "connections", PROBLEM, "lower POSTGRES_POOL_MAX", POSTGRES_POOL_MAX="1000")


@fault("schema", PROBLEM, "lacks 1 migration")
def schema_behind(at: Installation) -> Iterator[dict[str, Any]]:
    columns = "migration_hash, migration_id"
    [row] = at.owner(f"DELETE FROM _yoyo_migration WHERE migration_id LIKE '0013%' RETURNING {columns}")
    yield {}
    at.owner("INSERT INTO _yoyo_migration (migration_hash, migration_id) VALUES (%s, %s)", *row)


@fault("schema", WARNING, "9999_later")
def schema_ahead(at: Installation) -> Iterator[dict[str, Any]]:
    at.owner("INSERT INTO _yoyo_migration (migration_hash, migration_id) VALUES ('x', '9999_later')")
    yield {}
    at.owner("DELETE FROM _yoyo_migration WHERE migration_hash = 'x'")


@fault("roles", WARNING, "One role")
def one_role(at: Installation) -> Iterator[dict[str, Any]]:
    at.superuser("ALTER TABLE audit_logs OWNER TO cypher")
    yield {"POSTGRES_MIGRATION_USER": ""}
    at.superuser("ALTER TABLE audit_logs OWNER TO cypher_owner")


@fault("roles", PROBLEM, "NOSUPERUSER")
def service_is_superuser(at: Installation) -> Iterator[dict[str, Any]]:
    at.superuser("ALTER ROLE cypher SUPERUSER")
    yield {}
    at.superuser("ALTER ROLE cypher NOSUPERUSER")


@fault("roles", PROBLEM, "can change the audit trail")
def service_may_edit_the_trail(at: Installation) -> Iterator[dict[str, Any]]:
    at.owner("GRANT UPDATE ON audit_logs TO cypher")
    yield {}
    at.owner("REVOKE UPDATE ON audit_logs FROM cypher")


@fault("connections", PROBLEM, "gives 10")
def role_with_few_connections(at: Installation) -> Iterator[dict[str, Any]]:
    at.superuser("ALTER ROLE cypher CONNECTION LIMIT 10")
    yield {}
    at.superuser("ALTER ROLE cypher CONNECTION LIMIT -1")


@fault("durability", PROBLEM, "synchronous_commit is off")
def commits_that_may_be_lost(at: Installation) -> Iterator[dict[str, Any]]:
    at.superuser("ALTER ROLE cypher SET synchronous_commit = off")
    yield {}
    at.superuser("ALTER ROLE cypher RESET synchronous_commit")


# -- Redis --------------------------------------------------------------------------------------------------

setting("Redis away", "redis", PROBLEM, "does not answer", REDIS_URL="redis://127.0.0.1:9")
setting("Redis elsewhere", "redis_tls", WARNING, "rediss://", REDIS_URL="redis://[::2]:9", REDIS_PASSWORD=SECRET)

setting("replicas away", "redis_replicas", PROBLEM, "logouts are 503", REDIS_WAIT_REPLICAS="1")


@fault("redis", PROBLEM, "REDIS_PASSWORD")
def redis_password_wrong(at: Installation) -> Iterator[dict[str, Any]]:
    at.redis("ACL", "SETUSER", "cypher", "on", f">{MASTER_PASSWORD}", "~*", "+@all")
    yield {"REDIS_URL": at.environment["REDIS_URL"].replace("unix://", "unix://cypher@"), "REDIS_PASSWORD": SECRET}
    at.redis("ACL", "DELUSER", "cypher")


@fault("redis_eviction", PROBLEM, "noeviction")
def redis_forgets(at: Installation) -> Iterator[dict[str, Any]]:
    at.redis("CONFIG", "SET", "maxmemory-policy", "allkeys-lru", "maxmemory", "1gb")
    yield {}
    at.redis("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "0")


@fault("redis_eviction", WARNING, "nearly full")
def redis_is_full(at: Installation) -> Iterator[dict[str, Any]]:
    at.redis("CONFIG", "SET", "maxmemory", "100kb")
    yield {}
    at.redis("CONFIG", "SET", "maxmemory", "0")


@fault("redis_persistence", WARNING, "appendonly yes")
def redis_keeps_nothing(at: Installation) -> Iterator[dict[str, Any]]:
    at.redis("CONFIG", "SET", "appendonly", "no")
    yield {}
    at.redis("CONFIG", "SET", "appendonly", "yes")


# -- files of TLS -------------------------------------------------------------------------------------------


@fault("certificates", WARNING, "holds until")
def certificate_ends_soon(at: Installation) -> Iterator[dict[str, Any]]:
    yield {"POSTGRES_SSLROOTCERT": str(Authority(at.folder, "soon").file)}


@fault("certificates", PROBLEM, "holds no certificate")
def certificate_is_none(at: Installation) -> Iterator[dict[str, Any]]:
    (file := at.folder / "no-certificate").write_text("nothing")
    yield {"POSTGRES_SSLROOTCERT": str(file)}


@fault("private_keys", PROBLEM, "chmod 600")
def certificates_key_is_open(at: Installation) -> Iterator[dict[str, Any]]:
    issued = Authority(at.folder, "open").issue("open-service")
    issued.key.chmod(0o644)
    yield {
        "POSTGRES_SSLMODE": "require",
        "POSTGRES_SSLCERT": str(issued.certificate),
        "POSTGRES_SSLKEY": str(issued.key),
    }


# -- keys ---------------------------------------------------------------------------------------------------

setting("wrong master password", "key_store", PROBLEM, "does not open the key store",
        MASTER_ENCRYPTION_PASSWORD=MASTER_PASSWORD[::-1])  # fmt: skip
setting("keys in the database", "key_store_place", WARNING, "every dump holds them", KEY_STORE="postgres")
setting("no service for weeks", "keys_due", WARNING, "should have been replaced", shift=100 * DAY)


@fault("key_store", PROBLEM, "chmod 700")
def key_store_is_open(at: Installation) -> Iterator[dict[str, Any]]:
    at.keys.chmod(0o755)
    yield {}
    at.keys.chmod(0o700)


@fault("key_store", PROBLEM, "chmod 600")
def key_file_is_open(at: Installation) -> Iterator[dict[str, Any]]:
    (at.keys / FILE).chmod(0o640)
    yield {}
    (at.keys / FILE).chmod(0o600)


@fault("key_store", PROBLEM, "corrupt or truncated")
def key_file_is_cut(at: Installation) -> Iterator[dict[str, Any]]:
    with at.ring_put_back():
        file = at.keys / FILE
        file.write_bytes(file.read_bytes()[:-100])
        yield {}


@fault("key_store", PROBLEM, "There is no key store at")
def key_store_is_gone(at: Installation) -> Iterator[dict[str, Any]]:
    yield {"KEY_STORE_PATH": str(at.folder / "nowhere")}


@fault("key_wrapping", WARNING, "1,000 rounds")
def few_rounds(at: Installation) -> Iterator[dict[str, Any]]:
    with at.ring_put_back() as ring:
        ring.rewrap(MASTER_PASSWORD, 1000)
        yield {}


@fault("key_identity", PROBLEM, "is older")
def key_store_is_older(at: Installation) -> Iterator[dict[str, Any]]:
    at.owner("UPDATE key_store_identity SET generation = generation + 100")
    yield {}
    at.owner("UPDATE key_store_identity SET generation = generation - 100")


@fault("key_identity", PROBLEM, "belongs to another database")
def key_store_of_another(at: Installation) -> Iterator[dict[str, Any]]:
    [[before]] = at.owner("SELECT store_id FROM key_store_identity")
    at.owner("UPDATE key_store_identity SET store_id = gen_random_uuid()")
    yield {}
    at.owner("UPDATE key_store_identity SET store_id = %s", before)


@fault("key_references", PROBLEM, f"{FOREIGN_KEY} is not in the key store")
def row_under_an_unknown_key(at: Installation) -> Iterator[dict[str, Any]]:
    [[before]] = at.owner("SELECT username_key_id FROM users")
    at.owner("UPDATE users SET username_key_id = %s", FOREIGN_KEY)
    yield {}
    at.owner("UPDATE users SET username_key_id = %s", before)


@fault("key_references", PROBLEM, "noted as used")
def used_key_is_lost(at: Installation) -> Iterator[dict[str, Any]]:
    at.owner("INSERT INTO data_keys (key_id) VALUES (%s)", FOREIGN_KEY)
    yield {}
    at.owner("DELETE FROM data_keys WHERE key_id = %s", FOREIGN_KEY)


@fault("keys_due", WARNING, "more than KEY_ROTATION_OPERATIONS")
def key_is_worn_out(at: Installation) -> Iterator[dict[str, Any]]:
    at.owner("UPDATE data_keys SET operations = operations + 2000000")
    yield {}
    at.owner("UPDATE data_keys SET operations = operations - 2000000")


@fault("pending_keys", WARNING, "is still pending")
def signing_key_waits(at: Installation) -> Iterator[dict[str, Any]]:
    with at.ring_put_back() as ring:
        rotate(ring, Purpose.SIGNING)
        yield {"shift": timedelta(hours=3)}


@fault("pending_keys", PROBLEM, "rotate-index")
def reindexing_was_broken_off(at: Installation) -> Iterator[dict[str, Any]]:
    with at.ring_put_back() as ring:
        pending = ring.new_key(Purpose.INDEX, Algorithm.HMAC, state=State.PENDING)
        ring.change(lambda stored: replace(stored, keys=(*stored.keys, pending)))
        yield {"shift": timedelta(hours=3)}


# -- the trail ----------------------------------------------------------------------------------------------

setting("no checkpoints", "audit_checkpoints", WARNING, "AUDIT_CHECKPOINT is off", AUDIT_CHECKPOINT="off")
setting("another retention", "audit_retention", WARNING, "run `cypher migrate`", AUDIT_RETENTION_DAYS="500")
setting("no room ahead", "audit_retention", PROBLEM, "no room for the month", shift=100 * DAY)


@fault("audit_lag", PROBLEM, "are not sealed")
def nobody_seals(at: Installation) -> Iterator[dict[str, Any]]:
    columns = "retention, action, outcome, severity, actor_type, details, details_key_id, entry_hash, entry_hash_key_id"
    at.owner(
        f"INSERT INTO audit_logs (id, occurred_at, {columns}) SELECT gen_random_uuid(), now() - interval '1 hour', "
        f"{columns} FROM audit_logs LIMIT 1"
    )
    yield {}
    at.owner("DELETE FROM audit_logs AS e WHERE NOT EXISTS (SELECT FROM audit_leaves AS l WHERE l.entry_id = e.id)")


@fault("audit_seals", PROBLEM, "was edited")
def trail_is_edited(at: Installation) -> Iterator[dict[str, Any]]:
    [(entry, before)] = at.owner("SELECT id, outcome FROM audit_logs ORDER BY occurred_at DESC LIMIT 1")
    at.owner("UPDATE audit_logs SET outcome = 'edited' WHERE id = %s", entry)
    yield {}
    at.owner("UPDATE audit_logs SET outcome = %s WHERE id = %s", before, entry)


@fault("audit_checkpoints", PROBLEM, "was cut or rewritten")
def trail_is_cut(at: Installation) -> Iterator[dict[str, Any]]:
    tables = ("audit_leaves", "audit_seals")
    for table in tables:
        at.owner(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")
        at.owner(f"DELETE FROM {table} WHERE seal_no = (SELECT max(seal_no) FROM kept_{table})")
    yield {}
    for table in reversed(tables):
        at.owner(f"INSERT INTO {table} SELECT * FROM kept_{table} ON CONFLICT DO NOTHING")
        at.owner(f"DROP TABLE kept_{table}")


@fault("audit_checkpoints", WARNING, "no checkpoint in")
def checkpoints_are_not_written(at: Installation) -> Iterator[dict[str, Any]]:
    yield {"AUDIT_CHECKPOINT": str(Path(at.folder) / "nowhere.jsonl")}
