"""Results as they are kept: everything that a table, a plot or a comparison needs, and nothing of how it was made."""

from pathlib import Path

import msgspec

from bench.figures import Spread, percentile, points
from bench.harness import Compared, Result, Target, cpu_per_operation, latencies
from bench.machine import Setting
from cypher.errors import OperatorError

#: Counted on whenever older files would be read wrongly.
FORM = 1


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario. Times are in seconds, CPU in seconds for 1,000 operations."""

    group: str
    state: str
    name: str
    floor: str
    compared: Compared
    target: Target
    operations: int
    per_second: float
    p50: float
    p95: float
    p99: float
    cpu: float
    floor_cpu: float
    ratio: Spread  #: cost in floors, over the rounds
    tail: float  #: the 99th percentile in 99th percentiles of the floor
    ratios: list[float]
    latencies: list[float]  #: as many as show how they are distributed
    floor_latencies: list[float]

    @property
    def misses(self) -> list[str]:
        """What was promised and is not so."""
        held = (
            ("cost", self.ratio.middle, self.target.ratio),
            ("p99 in floors", self.tail, self.target.tail),
            ("p99", self.p99, self.target.p99),
        )
        return [name for name, found, most in held if most is not None and found > most]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    form: int = FORM
    setting: Setting
    notes: list[str]  #: what could not be measured, and why
    results: list[Measured]


def measured(group: str, state: str, result: Result) -> Measured:
    """Keep what a result says."""
    scenario, mine = result.scenario, latencies(result.rounds)
    return Measured(
        group=group,
        state=state,
        name=scenario.name,
        floor=scenario.floor_name,
        compared=scenario.compared,
        target=scenario.target,
        operations=sum(round_.tally.operations for round_ in result.rounds),
        per_second=result.per_second,
        p50=percentile(mine, 0.5),
        p95=percentile(mine, 0.95),
        p99=percentile(mine, 0.99),
        cpu=1000 * cpu_per_operation(result.rounds),
        floor_cpu=1000 * cpu_per_operation(result.floors),
        ratio=result.spread,
        tail=result.tail,
        ratios=result.ratios,
        latencies=points(mine),
        floor_latencies=points(latencies(result.floors)),
    )


def read(file: Path) -> Document:
    """Read a run that was kept with `--json`."""
    try:
        document = msgspec.json.decode(file.read_bytes(), type=Document)
    except OSError as exc:
        raise OperatorError(f"{file} cannot be read: {exc.strerror}.") from exc
    except (msgspec.DecodeError, msgspec.ValidationError) as exc:
        raise OperatorError(f"{file} is not what --json writes: {exc}.") from exc
    if document.form != FORM:
        raise OperatorError(f"{file} has form {document.form}, and form {FORM} is read here: measure anew.")
    return document


def write(document: Document, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")
