"""The processor that an engine runs on."""

import functools
import platform
from pathlib import Path


@functools.cache
def cpu() -> tuple[str, frozenset[str]]:
    """Name and flags of the processor, as far as the system tells; the architecture's name where it says no more."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return name, frozenset()
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return found.get("model name", name), frozenset(found.get("flags", found.get("Features", "")).split())
