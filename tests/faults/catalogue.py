"""All faults, in the order in which they are told of."""

from tests.faults.failovers import FAILOVERS
from tests.faults.fault import Fault, NoFault
from tests.faults.postgres_faults import POSTGRES_FAULTS
from tests.faults.redis_faults import REDIS_FAULTS
from tests.faults.service_faults import SERVICE_FAULTS

FAULTS: tuple[type[Fault], ...] = (NoFault, *POSTGRES_FAULTS, *REDIS_FAULTS, *FAILOVERS, *SERVICE_FAULTS)
