"""The operators' route table: handler, scope, limit, and a deadline of its own where whole tables are read."""

from cypher.postgres import MAINTENANCE_SECONDS
from cypher.web.handlers import description, health
from cypher.web.operators.handlers import audit, keys, metrics, rate_limits, reencryption, sessions, users
from cypher.web.routes import Counted, Exempt, Needs, Route

#: Whoever guesses at tokens is limited, whoever holds a good one never: at night nobody waits for a window to end.
LIMIT = Exempt.GOOD_TOKEN
#: Counting hangs on the size of the tables; a key store may wait for its lock.
PATIENT = MAINTENANCE_SECONDS

ROUTES = (
    Route("GET", "/admin/v1/users", users.list_all, Needs.SEE_PEOPLE, LIMIT),
    Route("POST", "/admin/v1/users", users.create, Needs.OPERATOR, LIMIT),
    Route("GET", "/admin/v1/users/{id}", users.show, Needs.SEE_PEOPLE, LIMIT),
    Route("DELETE", "/admin/v1/users/{id}", users.delete, Needs.OPERATOR, LIMIT, PATIENT),
    Route("POST", "/admin/v1/users/{id}/lock", users.lock, Needs.OPERATOR, LIMIT),
    Route("POST", "/admin/v1/users/{id}/unlock", users.unlock, Needs.OPERATOR, LIMIT),
    Route("POST", "/admin/v1/users/{id}/disable", users.disable, Needs.OPERATOR, LIMIT),
    Route("POST", "/admin/v1/users/{id}/enable", users.enable, Needs.OPERATOR, LIMIT),
    Route("POST", "/admin/v1/users/{id}/reset-factors", users.reset_factors, Needs.OPERATOR, LIMIT),
    Route("POST", "/admin/v1/users/{id}/recovery", users.recover, Needs.OPERATOR, LIMIT),
    Route("GET", "/admin/v1/users/{id}/sessions", sessions.list_of, Needs.OPERATOR, LIMIT),
    Route("DELETE", "/admin/v1/users/{id}/sessions", sessions.end_of, Needs.OPERATOR, LIMIT),
    Route("POST", "/admin/v1/sessions/revoke", sessions.end_many, Needs.OPERATOR, LIMIT, PATIENT),
    Route("GET", "/admin/v1/rate-limits", rate_limits.show, Needs.OPERATOR, LIMIT),
    Route("DELETE", "/admin/v1/rate-limits", rate_limits.reset, Needs.OPERATOR, LIMIT),
    Route("GET", "/admin/v1/audit", audit.list_page, Needs.AUDITOR, LIMIT, PATIENT),
    Route("GET", "/admin/v1/audit/export", audit.export, Needs.AUDITOR, LIMIT, PATIENT),
    Route("POST", "/admin/v1/audit/verify", audit.verify, Needs.AUDITOR, LIMIT, PATIENT),
    Route("GET", "/admin/v1/audit/checkpoint", audit.checkpoint, Needs.AUDITOR, LIMIT, PATIENT),
    Route("GET", "/admin/v1/keys", keys.list_all, Needs.SEE_KEYS, LIMIT, PATIENT),
    Route("POST", "/admin/v1/keys/rotate", keys.rotate, Needs.KEY_CUSTODIAN, LIMIT, PATIENT),
    Route("POST", "/admin/v1/keys/{key_id}/destroy", keys.destroy, Needs.KEY_CUSTODIAN, LIMIT, PATIENT),
    Route("GET", "/admin/v1/reencryption", reencryption.show, Needs.SEE_KEYS, LIMIT, PATIENT),
    Route("POST", "/admin/v1/reencryption", reencryption.start, Needs.KEY_CUSTODIAN, LIMIT, PATIENT),
    Route("GET", "/metrics", metrics.show, Needs.SEE_METRICS, LIMIT),
    Route("GET", "/openapi.json", description.document, Needs.NOTHING, Counted.DEFAULT),
    Route("GET", "/docs", description.page, Needs.NOTHING, Counted.DEFAULT),
    Route("GET", "/health/live", health.live, Needs.NOTHING, Exempt.PROBE),
    Route("GET", "/health/ready", health.ready, Needs.NOTHING, Exempt.PROBE),
)
