"""Why a server does not let us in: a sentence for the operator, never the driver's own text."""

import ssl

from cypher.errors import PostgresUnavailable, RedisUnavailable

#: SQLSTATE (PostgreSQL, appendix A), and what to do.
POSTGRES_STATES = {
    "28P01": "refuses the password: look at POSTGRES_PASSWORD",
    "28000": "refuses this role from here: look at POSTGRES_USER, and at the server's pg_hba.conf (TLS, certificates)",
    "3D000": "has no such database: look at POSTGRES_DB, or run `cypher init-db --all`",
    "42501": "gives this role no rights here: run `cypher migrate`",
    "53300": "has no place for another connection: raise its max_connections, or lower POSTGRES_POOL_MAX",
    "57P03": "is starting or shutting down: look at its log",
}
#: How Redis begins the answers by which it keeps somebody out.
REDIS_REFUSALS = ("NOAUTH", "WRONGPASS", "invalid username-password", "Authentication required", "AUTH")


def postgres_reason(error: PostgresUnavailable) -> str:
    """Return what to put after `PostgreSQL at …`."""
    cause = error.__cause__
    state = getattr(cause, "sqlstate", None)
    if state in POSTGRES_STATES:
        return POSTGRES_STATES[state]
    if state:
        return f"refuses the connection (SQLSTATE {state}): its log says more"
    if isinstance(cause, ssl.SSLError):
        return _tls_reason(cause, "POSTGRES_SSLROOTCERT")
    if "SSL" in str(cause):
        return "speaks no TLS, and POSTGRES_SSLMODE asks for it: set `ssl = on` in postgresql.conf"
    if isinstance(cause, ValueError):
        return "is not asked: the driver refuses the POSTGRES_SSL settings (is POSTGRES_SSLROOTCERT set?)"
    return "does not answer: start it, or look at POSTGRES_HOST, POSTGRES_PORT and the firewall"


def redis_reason(error: RedisUnavailable) -> str:
    """Return what to put after `Redis at …`."""
    said = str(error.__cause__)
    if "CERTIFICATE_VERIFY_FAILED" in said or "SSL" in said:
        return f"is not the server that its certificate has to name: {_REDIS_TLS}"
    if "NOPERM" in said or "permissions" in said:
        return "lets this user do too little: docs/operations.md shows the ACL"
    if any(refusal in said for refusal in REDIS_REFUSALS):
        return "refuses user or password: look at REDIS_PASSWORD and the user in REDIS_URL"
    return "does not answer: start it, or look at REDIS_URL (or REDIS_HOST, REDIS_PORT) and the firewall"


_REDIS_TLS = "look at ssl_ca_certs and the host in REDIS_URL, and at the server's certificate"


def _tls_reason(cause: ssl.SSLError, setting: str) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"shows a certificate that is not let pass ({cause.verify_message}): look at {setting}, and at the name "
            "in POSTGRES_HOST"
        )
    return "does not agree on TLS: look at the POSTGRES_SSL settings and at the server's log"
