"""PostgreSQL: whether it is reached, how, with which schema and which rights, and whether it keeps what it is given."""

import asyncio
from datetime import timedelta

from cypher.app import UPKEEP_CONNECTIONS
from cypher.doctor.checks.addresses import postgres_elsewhere
from cypher.doctor.findings import Away, Found, problem, warning
from cypher.doctor.patient import Patient
from cypher.errors import OperatorError
from cypher.schema import names, pending

OLDEST = 15
#: Beside those for requests: for upkeep, two that count uses of keys, and the key store's own.
MORE_CONNECTIONS = UPKEEP_CONNECTIONS + 3
#: JWTs and cached documents go by this machine's clock, rows by the database's.
SKEW, SEVERE_SKEW = timedelta(seconds=2), timedelta(seconds=30)


async def check_postgres(at: Patient) -> Found:
    """PostgreSQL lets the service in."""
    try:
        facts = await at.facts()
    except Away as away:
        yield problem(str(away))
        return
    if facts.version // 10_000 < OLDEST:
        yield problem(f"PostgreSQL is of version {facts.version // 10_000}: Cypher needs {OLDEST} or later.")
    if facts.is_standby:
        yield problem("This PostgreSQL is a standby, which takes no writes: name the primary too in POSTGRES_HOST.")


async def check_postgres_tls(at: Patient) -> Found:
    """PostgreSQL is met with TLS and known by its certificate, or is on this machine."""
    postgres = at.config.postgres
    elsewhere, facts = postgres_elsewhere(postgres), await at.facts()
    if elsewhere and not facts.has_tls:
        yield warning(
            f"PostgreSQL is another machine ({', '.join(elsewhere)}) and is met without TLS: rows and password cross "
            "the wire as they are. Set POSTGRES_SSLMODE=verify-full and POSTGRES_SSLROOTCERT."
        )
    elif elsewhere and postgres.sslmode not in ("verify-full", "verify-ca"):
        yield warning(
            f"PostgreSQL is another machine ({', '.join(elsewhere)}) and its certificate is not looked at: whoever "
            "stands in between can pose as it. Set POSTGRES_SSLMODE=verify-full and POSTGRES_SSLROOTCERT."
        )


async def check_schema(at: Patient) -> Found:
    """The schema is the one of this version."""
    database = await at.postgres()
    try:
        lacking = await asyncio.to_thread(pending, at.config.postgres)
    except OperatorError as refused:
        yield problem(str(refused))
        return
    if lacking:
        yield problem(
            f"The schema lacks {len(lacking)} migration(s), the first is {lacking[0]}: run `cypher migrate`. Until "
            "then the service does not start."
        )
    if len(lacking) == len(names()):
        return
    async with database.connection() as repos:
        unknown = sorted(await repos.deployment.list_migrations() - set(names()))
    if unknown:
        yield warning(
            f"The schema has migrations that this version does not know ({', '.join(unknown)}): a newer Cypher has "
            "used it. Run that version here too."
        )


async def check_clock(at: Patient) -> Found:
    """This machine and PostgreSQL agree on the time."""
    asked = at.clock.now()
    facts = await at.facts()
    answered = at.clock.now()
    # Somewhere between the two is the moment that the server has told.
    skew = max(asked - facts.time, facts.time - answered, timedelta(0))
    if skew > SKEW:
        what = problem if skew > SEVERE_SKEW else warning
        yield what(
            f"The clocks of this machine and of PostgreSQL are {skew.total_seconds():.0f} s apart: tokens end too "
            "early or too late. Let NTP set both."
        )


async def check_roles(at: Patient) -> Found:
    """The service's role can only add to the audit trail, and another one owns the schema."""
    postgres = at.config.postgres
    async with (await at.postgres()).connection() as repos:
        rights = await repos.server.get_rights()
    if rights is None:
        return
    # The settings need not know who owns the schema: a service is best not given the owner's name and password.
    is_one_role = rights.owns_trail and postgres.migration_user in (None, postgres.user)
    if rights.is_superuser:
        yield problem(
            f"POSTGRES_USER={postgres.user} is a superuser: run ALTER ROLE {postgres.user} NOSUPERUSER. Where that is "
            "refused, since PostgreSQL was made with this role, name the role as POSTGRES_MIGRATION_USER and a new one "
            "as POSTGRES_USER, and run `cypher init-db --all`."
        )
    elif is_one_role:
        yield warning(
            "One role serves and owns the schema: who learns its password can rewrite the audit trail. Set "
            "POSTGRES_MIGRATION_USER to another role, hand it the tables, and run `cypher migrate`."
        )
    elif rights.owns_trail or rights.rewrites_trail:
        yield problem(
            f"POSTGRES_USER={postgres.user} can change the audit trail although it does not own the schema: take back "
            "what it was granted, and run `cypher migrate`."
        )


async def check_connections(at: Patient) -> Found:
    """PostgreSQL has places for every connection of this process, and for another one's."""
    facts = await at.facts()
    needed = at.config.postgres.pool_max + MORE_CONNECTIONS
    limits = [limit for limit in (facts.places, facts.role_limit, facts.database_limit) if limit is not None]
    allowed = min(limits)
    if needed > allowed:
        yield problem(
            f"One process takes up to {needed} connections (POSTGRES_POOL_MAX and {MORE_CONNECTIONS} more), and "
            f"PostgreSQL gives {allowed}: lower POSTGRES_POOL_MAX, or raise max_connections or the role's limit."
        )
    elif 2 * needed > allowed:
        yield warning(
            f"One process takes up to {needed} of the {allowed} connections that PostgreSQL gives: a second one, also "
            "during a restart, finds too few. Lower POSTGRES_POOL_MAX or raise max_connections."
        )
    if facts.taken > 0.9 * facts.places:
        yield warning(f"{facts.taken} of PostgreSQL's {facts.places} connections are taken now: see who holds them.")


async def check_durability(at: Patient) -> Found:
    """PostgreSQL has on its disk what it says it has."""
    facts = await at.facts()
    named = ("fsync", "full_page_writes", "synchronous_commit")
    if off := [name for name in named if not getattr(facts, name)]:
        yield problem(
            f"{', '.join(off)} is off: after a crash, revoked sessions and used codes may come back. Set it to on in "
            "postgresql.conf."
        )
