"""Rounds of measurements: each side runs for some milliseconds, then the next, and so on, round after round."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bitwright.report.timing import Timing

Round = Callable[[int], tuple[float, float]]  # how many measurements -> their median and their minimum, milliseconds

_LONGEST = 200  # measurements in a round


@dataclass(frozen=True)
class Entrant:
    """One side of a comparison, ready to run.

    Attributes:
        round: Takes some measurements.
        isa: The instructions that it runs, as far as it says so.
        version: Of the library.
    """

    round: Round
    isa: str
    version: str


def calls(call: Callable[[], object]) -> Round:
    """Rounds that time a whole call by the clock on the wall, after one call to warm up.

    Args:
        call: What to time.
    """

    def measure(runs: int) -> tuple[float, float]:
        call()
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            call()
            times.append(1e3 * (time.perf_counter() - start))
        return statistics.median(times), min(times)

    return measure


def take_turns(sides: Mapping[str, Round], *, rounds: int = 20, round_ms: float = 20.0) -> dict[str, Timing]:
    """Measure several sides in turn, a round of each, so that a change of the machine's speed meets all of them.

    The result holds the median of the rounds' medians and the minimum of their minima.

    Args:
        sides: What to measure, by name.
        rounds: How often each takes its turn, at least 1.
        round_ms: About how long a turn lasts, milliseconds; at least one measurement is taken, and at most 200 are.

    Raises:
        ValueError: If rounds is not positive.
    """
    if rounds < 1:
        raise ValueError(f"rounds: expected at least 1, found {rounds}")
    runs = {name: min(max(int(round_ms / max(side(3)[0], 1e-6)), 1), _LONGEST) for name, side in sides.items()}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            found[name].append(side(runs[name]))
    return {
        name: Timing(statistics.median(m for m, _ in times), min(least for _, least in times), rounds * runs[name])
        for name, times in found.items()
    }
