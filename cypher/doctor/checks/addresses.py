"""Where servers are, as the settings say: on this machine, or on another one."""

from urllib.parse import urlsplit

from cypher.config import PostgresConfig, RedisConfig
from cypher.config.redis import servers_of
from cypher.settings import is_loopback


def postgres_elsewhere(config: PostgresConfig) -> list[str]:
    """Return the hosts of PostgreSQL that are other machines."""
    return [host for host in config.hosts if not host.startswith("/") and not is_loopback(host)]


def redis_elsewhere(config: RedisConfig) -> list[str]:
    """Return the hosts of Redis, or of its Sentinels, that are other machines."""
    return [host for host in _redis_hosts(config) if not is_loopback(host)]


def redis_on_tcp(config: RedisConfig) -> bool:
    """Tell whether Redis is reached by a port and not by a file."""
    return bool(_redis_hosts(config))


def redis_has_tls(config: RedisConfig) -> bool:
    """Tell whether Redis is met with TLS."""
    return (config.url or "").startswith("rediss")


def _redis_hosts(config: RedisConfig) -> list[str]:
    if config.url is None or config.url.startswith("unix:"):
        return []
    servers = servers_of(config.url)
    if servers is not None:
        return [host for host, _ in servers.nodes]
    host = urlsplit(config.url).hostname
    return [host] if host else []
