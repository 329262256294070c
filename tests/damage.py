"""Damage to files, for the tests of the loaders."""

import struct
import zlib

from hypothesis import strategies as st


def repair_checksum(data: bytes) -> bytes:
    """The same bytes with the checksum, and the length, that belong to them: what deliberate damage looks like."""
    if len(data) < 24:
        return data
    sized = data[:16] + struct.pack("<Q", len(data)) + data[24:]
    return sized[:12] + struct.pack("<I", zlib.crc32(sized[16:])) + sized[16:]


@st.composite
def damaged(draw: st.DrawFn, files: list[bytes]) -> bytes:
    """One of the files with some bytes flipped, replaced by tell-tale numbers, cut out or added; repaired or not."""
    data = bytearray(draw(st.sampled_from(files)))
    table = st.integers(16, min(len(data), 2048) - 1)  # where the structure is
    for _ in range(draw(st.integers(1, 4))):
        if not data:
            break
        at = draw(st.one_of(table, st.integers(16, 1 << 20))) % len(data)
        match draw(st.sampled_from(["flip", "flip", "number", "number", "cut", "drop", "insert"])):
            case "flip":
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "number":
                word = at // 4 * 4
                telling = draw(st.sampled_from([0, 1, 2, 3, 4, 255, 256, 2**24, 2**28, 2**31 - 1, 2**31, 2**32 - 1]))
                data[word : word + 4] = struct.pack("<I", telling)[: len(data) - word]
            case "cut":
                del data[at:]
            case "drop":
                del data[at : at + draw(st.sampled_from([1, 4, 32, 64, 128]))]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=64))
    return repair_checksum(bytes(data)) if draw(st.integers(0, 3)) else bytes(data)
