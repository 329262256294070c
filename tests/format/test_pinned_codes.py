"""One literal encoding of each kind, so that none of them changes without a new version of the file."""

import numpy as np
import pytest
from coded import encoding_of, graph_of, readers_agree, weight_at

from bitwright.format import bit_code, kernel_set, spec
from bitwright.format.writer import to_bytes

COUNT = np.arange(288)


def kernels(numbers: list[int]) -> np.ndarray:
    """A layer of 3x3 kernels, 8 in a filter."""
    return kernel_set.bits_of(np.array(numbers), 9).reshape(-1, 8, 3, 3)


WEIGHTS = {
    spec.RAW: ((COUNT**2 * 7 + COUNT // 5) % 23 < 11).reshape(6, 48),
    spec.GAPS: ((COUNT**2 * 7 + COUNT // 5) % 23 < 4).reshape(6, 48),
    spec.ENTROPY: np.repeat((COUNT**2 * 7 + COUNT // 5) % 23 < 11, 8).reshape(8, 288),
    spec.PATTERNS: kernels([5, 265, 254, 256, 265, 5, 256, 254] * 4),
    spec.HUFFMAN: kernels([5, 5, 265, 5, 254, 5, 5, 265, 5, 265, 5, 5, 256, 265, 5, 5] * 4),
}
CODES = {
    spec.RAW: "4700ab6a8c4dbe7607e59c6c520a3e025855636cf2b53b28e7649352f011c0aa1a6393af",
    spec.GAPS: "36000000142dd7494e50b45c273941d1725dae75e31e946bddb807e55a07",
    spec.ENTROPY: "0088000000000000000000000000000000786af14c005b98b202fdda9201d2269c00"
    "db2179b86785330a0c0a1b5c943097fc54371854aebb9af60068003800a800a0",
    spec.PATTERNS: "030005fc014cc839c639c639c63906",
    spec.HUFFMAN: "0300010305fc014c884646e24146e24146e24146e201",
}


@pytest.mark.parametrize("encoding", WEIGHTS)
def test_the_bytes_stay_what_they_are(encoding):
    weight, code = WEIGHTS[encoding], bytes.fromhex(CODES[encoding])
    taps = 9 if weight.ndim == 4 else 1
    assert bit_code.encode(weight.ravel(), taps) == (encoding, code)
    file = to_bytes(graph_of(weight))
    assert encoding_of(file) == encoding
    assert file[weight_at(file) :].startswith(code)
    assert readers_agree(file)
