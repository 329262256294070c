"""Binary neural networks: train them in PyTorch, make them sparse, pack them, and run them fast on a CPU.

Names are loaded on first use, so that `bitwright.load("net.bw")(x)` works where PyTorch is not installed.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bitwright import detection, distill, methods, pretext, sparse, uncertainty, zoo
    from bitwright.core.hooks import after_step, penalty, set_progress
    from bitwright.core.levels import check_binarizer
    from bitwright.errors import BitwrightError, DataError, FormatError, LoweringError
    from bitwright.lower import export
    from bitwright.nn.convert import binarize, binarize_parameter
    from bitwright.nn.count import count
    from bitwright.nn.parts import count_by_rules
    from bitwright.runtime.engine import load

__all__ = [
    "BitwrightError",
    "DataError",
    "FormatError",
    "LoweringError",
    "after_step",
    "binarize",
    "binarize_parameter",
    "check_binarizer",
    "count",
    "count_by_rules",
    "detection",
    "distill",
    "export",
    "load",
    "methods",
    "penalty",
    "pretext",
    "set_progress",
    "sparse",
    "uncertainty",
    "zoo",
]

_HOME = {
    "BitwrightError": "errors",
    "DataError": "errors",
    "FormatError": "errors",
    "LoweringError": "errors",
    "after_step": "core.hooks",
    "binarize": "nn.convert",
    "binarize_parameter": "nn.convert",
    "check_binarizer": "core.levels",
    "count": "nn.count",
    "count_by_rules": "nn.parts",
    "export": "lower",
    "load": "runtime.engine",
    "penalty": "core.hooks",
    "set_progress": "core.hooks",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("bitwright")
    if name in ("detection", "distill", "methods", "pretext", "sparse", "uncertainty", "zoo"):
        return import_module(f"bitwright.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'bitwright' has no attribute {name!r}")
    try:
        value = getattr(import_module(f"bitwright.{_HOME[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ModuleNotFoundError(
            f"bitwright.{name} needs PyTorch, which is not installed: pip install 'bitwright[train]'", name="torch"
        ) from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
