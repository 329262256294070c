"""The bytes of a .bw file become a graph, or one clear error. Nothing in the file is trusted.

What is read is written again and compared: so whatever the writer would not write (a hole, padding that is not zero, an
unused field that is set) is refused without a rule of its own, and every graph has exactly one file.
"""

import os
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np

from bitwright.errors import FormatError, GraphError
from bitwright.format import bit_code, real_code, spec
from bitwright.format.writer import to_bytes
from bitwright.ir import limits, ops
from bitwright.ir.ops import Array, Graph, Kind, Op, TensorType, Window
from bitwright.ir.output_types import BITS, output_type
from bitwright.ir.windows import class_starts

_CHECKED_FROM = 16  # what the checksum covers
HEADER_BYTES = struct.calcsize(spec.HEADER)
_OPS = {layout.code: (op, layout) for op, layout in spec.LAYOUTS.items()}
_DAMAGED = "The file is damaged: copy or export it again."


def read(path: str | os.PathLike[str]) -> Graph:
    """Read and completely check a .bw file.

    Raises:
        FormatError: If it is not a bitwright file of a version that this library reads, or is damaged.
        OSError: If it cannot be opened.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            head = file.read(HEADER_BYTES)
            _read_header(head, size)  # before the rest of a large foreign file is read
            return from_bytes(head + file.read(size - len(head)))
        except FormatError as error:
            raise FormatError(f"{os.fspath(path)}: {error}") from None


def from_bytes(data: bytes) -> Graph:
    """The graph of a file's bytes, completely checked.

    Raises:
        FormatError: If they are not those of a bitwright file of a version that this library reads, or are damaged.
    """
    header = _read_header(data, len(data))
    if zlib.crc32(memoryview(data)[_CHECKED_FROM:]) != header.crc:
        raise _refusal("checksum", f"{header.crc:08x}", f"{zlib.crc32(memoryview(data)[_CHECKED_FROM:]):08x}")
    parts = spec.find_parts(header.ops, header.blobs, header.pairs, header.text)
    if parts.text_end > len(data):
        raise _refusal("header", f"tables and text of at most {len(data)} bytes", f"{parts.text_end}")
    blobs = _read_blobs(data, parts, header)
    texts = _Texts(data[parts.text : parts.text_end])
    try:
        graph = _read_graph(data, header, parts, blobs, texts)
        _check_canonical(data, to_bytes(graph, header.version), parts)  # which verifies the graph
    except GraphError as error:
        raise FormatError(f"{error} {_DAMAGED}") from None
    return graph


@dataclass(frozen=True)
class _Header:
    """What the first 64 bytes say."""

    version: int
    crc: int
    ops: int
    blobs: int
    text: int
    pairs: int
    input_type: TensorType


def _read_header(head: bytes, size: int) -> _Header:
    """Check and read the header of a file of `size` bytes, of which `head` holds at least the first 64."""
    found = bytes(head[: len(spec.MAGIC)])
    if found != spec.MAGIC[: len(found)] or not found:
        raise FormatError(
            f"expected a bitwright file, which starts with {spec.MAGIC.hex(' ')}, found "
            f"{found.hex(' ') or 'an empty file'}. Was it written by bw.export?"
        )
    if len(head) < HEADER_BYTES:
        raise _refusal("header", f"{HEADER_BYTES} bytes", f"a file of {size}")
    _, version, crc, bytes_, ops, blobs, text, pairs, kind, rank, *dims, output = struct.unpack_from(spec.HEADER, head)
    if version > spec.VERSION:
        raise FormatError(
            f"expected a file of version {spec.VERSION}, the newest that this library reads, found version {version}. "
            "Update bitwright."
        )
    if version < 1:
        raise _refusal("header", f"a version from 1 to {spec.VERSION}", f"{version}")
    if bytes_ != size:
        raise _refusal("header", f"a file of {bytes_} bytes", f"{size}")
    for what, value, low, high in (
        ("bytes", bytes_, HEADER_BYTES, spec.MAX_FILE),
        ("ops", ops, 1, limits.MAX_OPS),
        ("blobs", blobs, 0, spec.MAX_BLOBS),
        ("bytes of text", text, 0, limits.MAX_TEXT),
        ("metadata pairs", pairs, 0, limits.MAX_META),
    ):
        if not low <= value <= high:
            raise _refusal("header", f"{low} to {high} {what}", f"{value}")
    if kind not in (Kind.REAL, Kind.PIXEL):
        raise _refusal("header", f"the input kind {int(Kind.REAL)} or {int(Kind.PIXEL)}", f"{kind}")
    if rank not in (1, 3):
        raise _refusal("header", "an input of 1 or 3 dimensions", f"{rank}")
    if not all(1 <= n <= limits.MAX_DIM for n in dims[:rank]):
        raise _refusal("header", f"dimensions of 1 to {limits.MAX_DIM}", f"{tuple(dims[:rank])}")
    if output != ops:
        raise _refusal("header", f"the last op's output, {ops}, as output", f"{output}")
    return _Header(version, crc, ops, blobs, text, pairs, TensorType(Kind(kind), tuple(dims[:rank])))


class _Texts:
    """The text of a file, from which one text after another is taken."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, offset: int, length: int, where: str) -> str:
        if offset != self.position or length > len(self.data) - self.position:
            left = len(self.data) - self.position
            raise _refusal(where, f"a text at {self.position} of at most {left} bytes", f"{length} at {offset}")
        self.position += length
        try:
            return self.data[offset : offset + length].decode()
        except UnicodeDecodeError as error:
            raise _refusal(where, "UTF-8 text", f"{self.data[offset + error.start]:#04x} at {error.start}") from None

    def take_two(self, record: Sequence[int], where: str) -> tuple[str, str]:
        first, first_length, second, second_length = record
        return self.take(first, first_length, where), self.take(second, second_length, where)


class _Blobs:
    """The arrays of a file, which ops take in their order."""

    def __init__(self, found: list[tuple[int, Callable[[int], Array]]]) -> None:
        self.found = found
        self.position = 0

    def take(self, index: int, dtype: int, taps: int, where: str) -> Array:
        if index != self.position or index >= len(self.found):
            raise _refusal(where, f"blob {self.position} of {len(self.found)}", f"blob {index}")
        found, load = self.found[index]
        if found != dtype:
            raise _refusal(where, f"a blob of dtype {dtype}", f"{found}")
        self.position += 1
        return load(taps)


def _read_blobs(data: bytes, parts: spec.Parts, header: _Header) -> _Blobs:
    """Check the blob table; arrays are made when an op takes them."""
    last = spec.NEWEST_ENCODING[header.version]
    found = []
    end = parts.text_end
    for i in range(header.blobs):
        where = f"blob {i}"
        record = struct.unpack_from(spec.BLOB, data, parts.blobs + i * struct.calcsize(spec.BLOB))
        offset, size, elements, dtype, encoding, filters = record
        if dtype not in spec.DTYPES:
            raise _refusal(where, f"a dtype from {min(spec.DTYPES)} to {max(spec.DTYPES)}", f"{dtype}")
        if encoding > last:
            raise _refusal(where, f"an encoding from {spec.RAW} to {last}", f"{encoding}")
        if not 1 <= elements <= limits.MAX_ELEMENTS:
            raise _refusal(where, f"1 to {limits.MAX_ELEMENTS} elements", f"{elements}")
        bytes_ = spec.blob_bytes(dtype, elements)
        if encoding in real_code.CODED:
            if dtype != spec.F32 or not 1 <= filters <= elements or elements % filters:
                raise _refusal(where, f"filters that divide {elements} real weights", f"{filters} of dtype {dtype}")
            bytes_ = real_code.size(encoding, elements, filters)
        elif encoding != spec.RAW:
            if dtype != spec.BITS:
                raise _refusal(where, f"bits, which alone have the encoding {encoding}", f"the dtype {dtype}")
            least = bit_code.least_bytes(elements)
            if not least <= size < bytes_:
                raise _refusal(where, f"{least} to {bytes_ - 1} bytes in the encoding {encoding}", f"{size}")
            bytes_ = size
        expected = (spec.align(end), bytes_)
        if (offset, size) != expected:
            raise _refusal(where, f"{expected[1]} bytes at {expected[0]}", f"{size} at {offset}")
        end = offset + size
        if end > len(data):
            raise _refusal(where, f"an end at {len(data)} or before", f"{end}")
        found.append((dtype, partial(_load, data, record, where)))
    if end != len(data):
        raise _refusal("blob table", f"a file that ends at {end}", f"{len(data)} bytes")
    return _Blobs(found)


def _load(data: bytes, record: tuple[int, ...], where: str, taps: int) -> Array:
    """The numbers of a blob, flat; `taps` are those of a kernel, of which bits of weights may be made."""
    offset, size, elements, dtype, encoding, filters = record
    if encoding in real_code.CODED:
        return real_code.decode(encoding, data, offset, elements, filters)
    if encoding != spec.RAW:
        bits = bit_code.decode(encoding, data[offset : offset + size], elements, taps)
        if bits is None:
            raise _refusal(where, f"{elements} bits in the encoding {encoding}", "other bytes")
        return bits
    if dtype == spec.BITS:
        packed = np.frombuffer(data, np.uint8, size, offset)
        return np.unpackbits(packed, count=elements, bitorder="little").astype(np.bool_)
    return np.frombuffer(data, spec.DTYPES[dtype], elements, offset).astype(spec.DTYPES[dtype].newbyteorder("="))


def _read_graph(data: bytes, header: _Header, parts: spec.Parts, blobs: _Blobs, texts: _Texts) -> Graph:
    records = list(struct.iter_unpack(spec.OP, data[parts.ops : parts.ops + header.ops * struct.calcsize(spec.OP)]))
    tensors = [(texts.take(0, records[0][2], "input"), header.input_type)]
    ops = []
    for i, record in enumerate(records):
        op, found = _read_op(record, f"op {i}", tensors, blobs, texts)
        ops.append(op)
        tensors.append((op.name, found))
    if blobs.position != header.blobs:
        raise _refusal("blob table", f"{blobs.position} blobs, as the ops name", f"{header.blobs}")
    pairs = struct.iter_unpack(spec.META, data[parts.meta : parts.meta + header.pairs * struct.calcsize(spec.META)])
    meta = {}
    for i, record in enumerate(pairs):
        key, value = texts.take_two(record, f"metadata pair {i}")
        if key in meta:
            raise _refusal(f"metadata pair {i}", "a key of its own", f"{key!r} a second time")
        meta[key] = value
    if texts.position != len(texts.data):
        raise _refusal("text", f"{texts.position} bytes, as the tables name", f"{len(texts.data)}")
    return Graph(tensors[0][0], header.input_type, tuple(ops), ops[-1].name, meta)


def _read_op(
    record: tuple[Any, ...], where: str, tensors: list[tuple[str, TensorType]], blobs: _Blobs, texts: _Texts
) -> tuple[Op, TensorType]:
    """One record of the op table, and the type of its output, given the tensors so far."""
    code, count, *numbers = record
    if code not in _OPS:
        raise _refusal(where, f"an opcode from {min(_OPS)} to {max(_OPS)}", f"{code}")
    kind, layout = _OPS[code]
    name, note = texts.take_two(numbers[:4], where)
    where = f"{name} ({kind.__name__})"
    if not 1 <= count <= limits.MAX_INPUTS:
        raise _refusal(where, f"1 to {limits.MAX_INPUTS} inputs", f"{count}")
    inputs, indices, ints, floats = numbers[4 : 4 + count], numbers[8:12], numbers[12:24], numbers[24:28]
    if max(inputs) >= len(tensors):
        raise _refusal(where, f"inputs from among the tensors 0 to {len(tensors) - 1} before it", f"{max(inputs)}")
    names, types = zip(*(tensors[index] for index in inputs), strict=True)
    fields = _read_ints(layout, ints, where) | dict(zip(layout.floats, floats, strict=False))
    taps = prod(fields["window"].kernel) if "window" in fields else 1
    for (field, dtype), index in zip(layout.blobs, indices, strict=False):
        absent = index == spec.NONE and field in spec.OPTIONAL
        fields[field] = None if absent else blobs.take(index, dtype, taps, f"{where}: {field}")
    if "weight" in fields:
        fields["weight"] = _into_filters(fields, types[0])
    if kind is ops.PixelConv and fields["shift"] is not None:
        fields["shift"] = _into_window_classes(fields, types[0])
    if "values" in fields:
        fields["values"] = _into_classes(fields)
    if kind is ops.Quantize and fields["thresholds"].size % 3 == 0:
        fields["thresholds"] = fields["thresholds"].reshape(3, -1)
    op = kind(name=name, inputs=names, note=note, **fields)
    return op, output_type(op, *types)


def _read_ints(layout: spec.Layout, ints: list[int], where: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    left = iter(ints)
    for field in layout.ints:
        if field == "window":
            fields[field] = Window(*((next(left), next(left)) for _ in range(4)))
            continue
        value = next(left)
        if field in ("signed", "count_padding"):
            if value not in (0, 1):
                raise _refusal(where, f"{field} to be 0 or 1", f"{value}")
            value = bool(value)
        elif field == "kind":
            if value not in BITS:
                raise _refusal(where, f"the kind {' or '.join(str(int(kind)) for kind in BITS)}", f"{value}")
            value = Kind(value)
        fields[field] = value
    return fields


def _into_filters(fields: dict[str, Any], x: TensorType) -> Array:
    """The elements of a weight as filters over x; left flat, for `output_type` to refuse, where that cannot be."""
    weight = fields["weight"]
    shape = (x.shape[0] // max(1, fields.get("groups", 1)), *fields["window"].kernel) if "window" in fields else x.shape
    taps = prod(shape)
    return weight.reshape(-1, *shape) if taps > 0 and min(shape) > 0 and weight.size % taps == 0 else weight


def _into_window_classes(fields: dict[str, Any], x: TensorType) -> Array:
    """The elements of a shift as classes of rows and columns of each filter; else left flat, likewise."""
    shift, window = fields["shift"], fields["window"]
    if len(x.shape) != 3 or not all(1 <= n <= limits.MAX_WINDOW for n in (*window.kernel, *window.stride)):
        return shift
    shape = (len(fields["weight"]), *(len(class_starts(window, axis, x.shape[1 + axis])) for axis in (0, 1)))
    return shift.reshape(shape) if shift.size == prod(shape) else shift


def _into_classes(fields: dict[str, Any]) -> Array:
    """The values of a shift by channel and classes; left flat, for `output_type` to refuse, where that cannot be."""
    classes = [int(fields[axis].max()) + 1 for axis in ("rows", "columns")]
    fits = min(classes) > 0 and fields["values"].size % prod(classes) == 0
    return fields["values"].reshape(-1, *classes) if fits else fields["values"]


def _check_canonical(data: bytes, expected: bytes, parts: spec.Parts) -> None:
    """Refuse bytes that are not those the writer writes of the graph they hold."""
    if len(data) != len(expected):
        raise _refusal(
            "blobs",
            f"{len(expected)} bytes, weights in the encoding that takes least",
            f"{len(data)}",
        )
    different = np.frombuffer(data, np.uint8)[_CHECKED_FROM:] != np.frombuffer(expected, np.uint8)[_CHECKED_FROM:]
    if not different.any():
        return
    at = _CHECKED_FROM + int(np.argmax(different))
    starts = {"header": 0, "op table": parts.ops, "blob table": parts.blobs, "metadata table": parts.meta}
    starts |= {"text": parts.text, "blobs": parts.text_end}
    part = [name for name, start in starts.items() if start <= at][-1]
    raise _refusal(f"{part}, byte {at}", f"{expected[at]:#04x} where nothing is stored", f"{data[at]:#04x}")


def _refusal(where: str, expected: str, found: str) -> FormatError:
    return FormatError(f"{where}: expected {expected}, found {found}. {_DAMAGED}")
