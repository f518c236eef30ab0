"""Load over HTTP, from processes that are not the service's: its CPU is not theirs."""

from bench.load.jobs import Outcome
from bench.load.sender import Load, loads
from bench.load.wrk import version as wrk_version

__all__ = ["Load", "Outcome", "loads", "wrk_version"]
