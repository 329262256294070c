"""What a peer is: a library that runs an item in one or more ways."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from bitwright.bench.item import Item, Setting, Suite
from bitwright.bench.turns import Entrant
from bitwright.report.timing import describe_machine

BOTH: tuple[Suite, ...] = ("layers", "networks")
LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS")


@dataclass(frozen=True)
class Way:
    """One way in which a peer runs an item, such as int8.

    Attributes:
        name: What it is called after the peer's name.
        build: Makes it ready; whatever it raises is told in place of a time.
        suites: Where it takes part.
    """

    name: str
    build: Callable[[Item, Setting], Entrant]
    suites: tuple[Suite, ...] = BOTH


@dataclass(frozen=True)
class Peer:
    """A library to compare with.

    Attributes:
        name: On the command line.
        modules: What must be importable.
        ways: How it runs an item.
        unfit: Says why the installed modules cannot be used together; nothing if they can.
    """

    name: str
    modules: tuple[str, ...]
    ways: tuple[Way, ...]
    unfit: Callable[[], str] = lambda: ""

    def missing(self) -> str:
        """Why it cannot take part; nothing if it can."""
        absent = [module for module in self.modules if not _found(module)]
        return f"not installed: {', '.join(absent)}" if absent else self.unfit()


def _found(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def onednn_isa() -> str:
    """The instructions that oneDNN may use: what the environment allows it, else the best of this processor."""
    return os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or best_isa()


def best_isa() -> str:
    """The widest vector instructions of this processor."""
    return (describe_machine().vectors or ("unknown",))[-1]
