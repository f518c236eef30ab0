"""All use cases together, as `web` is handed them. A module of its own: a command imports the few that it needs."""

from dataclasses import dataclass

from cypher.auth.account import Account
from cypher.auth.activity import Activity
from cypher.auth.devices import Devices
from cypher.auth.export import Export
from cypher.auth.factors import Factors
from cypher.auth.health import HealthCheck
from cypher.auth.incidents import Incidents
from cypher.auth.login import Login
from cypher.auth.mfa import SecondStep
from cypher.auth.opaque import OpaqueServer
from cypher.auth.password import PasswordChange
from cypher.auth.rate_limits import RateLimits
from cypher.auth.reauthentication import Reauthentication
from cypher.auth.recovery import Recovery
from cypher.auth.recovery_requests import RecoveryRequests
from cypher.auth.registration import Registration
from cypher.auth.service_tokens import ServiceTokens
from cypher.auth.sessions import Sessions
from cypher.auth.token_blacklist import TokenBlacklist
from cypher.auth.tokens import Tokens
from cypher.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that the layer above may call."""

    registration: Registration
    login: Login
    second_step: SecondStep
    reauthentication: Reauthentication
    factors: Factors
    password: PasswordChange
    account: Account
    export: Export
    recovery: Recovery
    recovery_requests: RecoveryRequests
    devices: Devices
    sessions: Sessions
    tokens: Tokens
    service_tokens: ServiceTokens
    opaque: OpaqueServer
    health: HealthCheck
    incidents: Incidents
    activity: Activity
    rate_limits: RateLimits
    metrics: Metrics

    @property
    def token_blacklist(self) -> TokenBlacklist:
        """One question for a program that holds somebody's access token."""
        return TokenBlacklist(self.tokens)
