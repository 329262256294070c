"""The weights of a real layer, in whichever encoding takes the fewest bytes.

That is the numbers as they are, two_levels.py or int8.py; the first in this order of several.
"""

from bitwright.format import int8, spec, two_levels
from bitwright.ir.ops import Array

CODED = (spec.TWO_LEVELS, spec.INT8)
_CODERS = {spec.TWO_LEVELS: two_levels, spec.INT8: int8}


def size(encoding: int, elements: int, filters: int) -> int:
    """Bytes of an encoding.

    Args:
        encoding: `spec.TWO_LEVELS` or `spec.INT8`.
        elements: Weights, of all filters.
        filters: How many there are.
    """
    return _CODERS[encoding].size(elements, filters)


def encode(weight: Array, newest: int = spec.NEWEST_ENCODING[spec.VERSION]) -> tuple[int, bytes]:
    """The encoding that takes least, and its bytes.

    Shape:
        weight: (out, ...), float32.

    Args:
        weight: What to encode.
        newest: The last encoding that may be taken.
    """
    encoding, best = spec.RAW, weight.astype("<f4").tobytes()
    for number, coder in _CODERS.items():
        data = coder.encode(weight) if number <= newest else None
        if data is not None and len(data) < len(best):
            encoding, best = number, data
    return encoding, best


def decode(encoding: int, data: bytes, offset: int, elements: int, filters: int) -> Array:
    """The weights, (elements,) float32, from the bytes at an offset.

    Args:
        encoding: `spec.TWO_LEVELS` or `spec.INT8`.
        data: As many bytes from the offset on as `size` says, at least.
        offset: Where the encoding starts.
        elements: Weights, of all filters.
        filters: How many there are; they divide the elements.
    """
    return _CODERS[encoding].decode(data, offset, elements, filters)
