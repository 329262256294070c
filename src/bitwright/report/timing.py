"""Fair timing of several calls in one run, and a description of the machine that it was done on."""

import contextlib
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from bitwright.runtime.machine import cpu

_VECTORS = ("sse2", "sse4_2", "asimd", "avx", "avx2", "avx512f", "avx512_vnni", "avx512_vpopcntdq")
_SHORTEST = 1e-3  # seconds; a faster call is repeated within one measurement, so that the clock's own cost vanishes


@dataclass(frozen=True)
class Timing:
    """What `runs` measurements of one call gave, in milliseconds a call."""

    median_ms: float
    min_ms: float
    runs: int


def alternate(calls: Mapping[str, Callable[[], object]], *, runs: int = 50, warmup: int = 5) -> dict[str, Timing]:
    """Time several calls in turn, a, b, a, b, ..., so that a change of the machine's speed meets all of them.

    Args:
        calls: What to time, by name.
        runs: Measurements of each, at least 1.
        warmup: Calls of each before the first measurement, at least 1.

    Raises:
        ValueError: If there is nothing to measure.
    """
    if runs < 1 or warmup < 1:
        raise ValueError(f"runs and warmup are at least 1, found runs={runs}, warmup={warmup}")
    repeats = {}
    for name, call in calls.items():
        for _ in range(warmup):
            call()
        repeats[name] = max(1, int(_SHORTEST / max(_measure(call, 1), 1e-9)))
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs):
        for name, call in calls.items():
            seconds[name].append(_measure(call, repeats[name]))
    return {name: Timing(1e3 * statistics.median(s), 1e3 * min(s), runs) for name, s in seconds.items()}


@dataclass(frozen=True)
class Machine:
    """The processor, its vector instructions from the oldest on, the system, and the versions of what took part."""

    cpu: str
    cores: int
    system: str
    versions: dict[str, str]
    vectors: tuple[str, ...] = ()


def describe_machine() -> Machine:
    """Say what a figure of speed was measured on. A package that is not installed has no version."""
    versions = {"python": platform.python_version()}
    for package in ("bitwright", "numpy", "torch"):
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    name, flags = cpu()
    system = f"{platform.system()} {platform.machine()}"
    return Machine(name, os.cpu_count() or 1, system, versions, tuple(v for v in _VECTORS if v in flags))


def _measure(call: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats
