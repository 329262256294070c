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
    fields = [line.split(":", 1) for line in lines if ":" in line]
    named = [value.strip() for key, value in fields if key.strip() == "model name"]
    flags = [value for key, value in fields if key.strip().lower() in ("flags", "features")]
    return named[0] if named else name, frozenset(flags[0].split() if flags else ())
