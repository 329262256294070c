"""Rules that ops share, each refused with the op's name, what was expected and what was found."""

from collections.abc import Collection, Sequence

import numpy as np

from bitwright.errors import GraphError
from bitwright.ir import limits
from bitwright.ir.ops import Array, Kind, Op, TensorType


def inputs_of(
    op: Op, found: Sequence[TensorType], *expected: Collection[Kind], rank: int | None = None
) -> Sequence[TensorType]:
    """The inputs, when there are as many as kinds expected and each is of one of them."""
    if len(found) != len(expected):
        raise refusal(op, f"{len(expected)} inputs", f"{len(found)}")
    for name, x, kinds in zip(op.inputs, found, expected, strict=True):
        if x.kind not in kinds:
            raise refusal(op, f"{name!r} to be {' or '.join(kind.name for kind in kinds)}", x.kind.name)
        if rank is not None and len(x.shape) != rank:
            raise refusal(op, f"{name!r} of shape {'(C, H, W)' if rank == 3 else '(F,)'}", f"{x.shape}")
    return found


def check_groups(op: Op, channels: int, groups: int) -> None:
    """Check that groups divide the input's channels."""
    if groups < 1 or channels % groups:
        raise refusal(op, f"groups that divide the {channels} input channels", f"{groups} groups")


def check_taps(op: Op, x: TensorType, taps: int) -> None:
    """Check that the sum over the taps of a filter, of what x holds, fits its accumulator."""
    most = limits.MAX_TAPS // (3 if x.kind == Kind.DIGIT else 1)
    if taps > most:
        raise refusal(op, f"at most {most} taps in one sum", f"{taps}")


def check_range(op: Op, field: str, value: int, low: int, high: int) -> None:
    """Check that a number lies between two others, both included."""
    if not low <= value <= high:
        raise refusal(op, f"{field} from {low} to {high}", f"{value}")


def check_array(op: Op, field: str, array: Array, dtype: type[np.generic], shape: tuple[int | str, ...]) -> None:
    """Check dtype and shape of a parameter; a word in the shape stands for any number from 1 on."""
    found = getattr(array, "shape", None)
    if found is None or getattr(array, "dtype", None) != dtype:
        raise refusal(op, f"{field} to be {np.dtype(dtype)}", f"{getattr(array, 'dtype', type(array).__name__)}")
    fits = len(found) == len(shape) and all(
        want == has or (isinstance(want, str) and has >= 1) for want, has in zip(shape, found, strict=True)
    )
    if not fits:
        raise refusal(op, f"{field} of shape {str(shape).replace(chr(39), '')}", f"{found}")
    if array.size > limits.MAX_ELEMENTS:
        raise refusal(op, f"{field} of at most {limits.MAX_ELEMENTS} elements", f"{array.size}")


def place_of(op: Op) -> str:
    """The op as messages name it."""
    return f"{op.name} ({type(op).__name__})"


def refusal(op: Op, expected: str, found: str, advice: str = "") -> GraphError:
    """The error that names the op, what was expected, what was found, and perhaps what to do."""
    return GraphError(f"{place_of(op)}: expected {expected}, found {found}." + (f" {advice}" if advice else ""))
