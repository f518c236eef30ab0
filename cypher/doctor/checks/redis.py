"""Redis: whether it is reached, how, and whether it keeps what it is given for as long as it should."""

from cypher.doctor.checks.addresses import redis_elsewhere, redis_has_tls
from cypher.doctor.findings import Away, Found, problem, warning
from cypher.doctor.patient import Patient
from cypher.errors import RedisUnavailable

OLDEST = 7
FULL = 0.9


async def check_redis(at: Patient) -> Found:
    """Redis lets the service in."""
    try:
        servers = await _described(at)
    except Away as away:
        if away.what == "Redis":
            yield problem(str(away))
        else:
            yield warning(str(away))
        return
    for server in servers:
        version = str(server.get("redis_version", ""))
        if int(version.partition(".")[0] or 0) < OLDEST:
            yield problem(f"Redis is of version {version}: Cypher needs {OLDEST} or later, or Valkey.")


async def check_redis_tls(at: Patient) -> Found:
    """Redis is met with TLS, or is on this machine."""
    elsewhere = redis_elsewhere(at.config.redis)
    if elsewhere and not redis_has_tls(at.config.redis):
        yield warning(
            f"Redis is another machine ({', '.join(elsewhere)}) and is met without TLS: password and revocations cross "
            "the wire as they are. Take rediss:// in REDIS_URL, with ssl_ca_certs."
        )


async def check_redis_eviction(at: Patient) -> Found:
    """Redis forgets nothing by itself to make room."""
    for server in await _described(at):
        policy, most = str(server.get("maxmemory_policy")), _number(server, "maxmemory")
        if policy != "noeviction":
            what = problem if most else warning
            yield what(
                f"maxmemory-policy is {policy}: a full Redis forgets counted attempts and revocations, and whoever "
                "fills it can go on guessing. Set maxmemory-policy noeviction."
            )
        if most and _number(server, "used_memory") > FULL * most:
            yield warning("Redis is nearly full, and then takes no login: raise its maxmemory.")


async def check_redis_persistence(at: Patient) -> Found:
    """A restart of Redis loses nothing that counts."""
    for server in await _described(at):
        if str(server.get("rdb_last_bgsave_status", "ok")) != "ok":
            yield problem("Redis cannot write its snapshot, and may take no writes: see to its disk and its log.")
        if str(server.get("aof_last_write_status", "ok")) != "ok":
            yield problem("Redis cannot write its append-only file, and takes no writes: see to its disk and its log.")
        if not _number(server, "aof_enabled") and not await _takes_snapshots(at):
            yield warning(
                "Redis keeps nothing over a restart: limits start anew, logins are lost half-way. Set appendonly yes."
            )


async def check_redis_replicas(at: Patient) -> Found:
    """Logouts wait for no replica that is not there."""
    wanted = at.config.redis.wait_replicas
    for server in await _described(at):
        following = _number(server, "connected_slaves")
        if following < wanted:
            yield problem(
                f"{following} replicas follow a primary of Redis and REDIS_WAIT_REPLICAS is {wanted}: logouts are 503 "
                "until more do. Bring them back, or set it lower and let a failover undo a logout for half a minute."
            )
        elif following == wanted and wanted:
            yield warning(
                f"REDIS_WAIT_REPLICAS is {wanted} and no more replicas than that follow a primary of Redis: when one "
                "is away, logouts are 503. Run one more."
            )


async def _described(at: Patient) -> list[dict[str, object]]:
    """Return what each server says of itself; raises Away."""
    client = await at.redis()
    try:
        return await client.describe_servers()
    except RedisUnavailable as exc:
        if "permissions" not in str(exc.__cause__):
            raise
        raise Away(
            "INFO of Redis",
            "Redis does not let this user ask for INFO, so that nothing can be said of it: add +info to its ACL.",
        ) from None


async def _takes_snapshots(at: Patient) -> bool:
    """Tell whether snapshots are taken; True where that may not be asked."""
    try:
        return all(await (await at.redis()).get_setting("save"))
    except RedisUnavailable:
        return True


def _number(server: dict[str, object], name: str) -> int:
    value = server.get(name)
    return value if isinstance(value, int) else 0
