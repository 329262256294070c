"""A graph becomes the bytes of a .bw file: the same graph, the same bytes."""

import os
import secrets
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from bitwright.errors import BitwrightError, GraphError
from bitwright.format import bit_code, real_code, spec
from bitwright.ir.limits import MAX_INPUTS
from bitwright.ir.ops import Array, Graph, Op, Window
from bitwright.ir.verify import verify


def write(graph: Graph, path: str | os.PathLike[str]) -> int:
    """Write a graph to a file, whole or not at all, and return the number of bytes.

    The bytes go to a temporary name in the same folder, to the disk, and only then take the place of `path`; whatever
    stops this, the temporary file goes and an older file stays as it was.

    Raises:
        GraphError: If the graph is not well-formed or too large.
        BitwrightError: If the file cannot be written.
    """
    with writing(graph, path) as temporary:
        return temporary.stat().st_size


@contextmanager
def writing(graph: Graph, path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a graph as `write` does, but let the caller look at the temporary file before it takes its name.

    Leaving the with-block by an exception leaves no file, and an older one as it was.

    Raises:
        GraphError: If the graph is not well-formed or too large.
        BitwrightError: If the file cannot be written.
    """
    data = to_bytes(graph)
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise BitwrightError(
            f"{path}: cannot be written: {error.strerror}. Choose a folder that exists and takes new files."
        ) from error
    finally:
        with suppress(OSError):  # it is gone already if all went well
            temporary.unlink()


def to_bytes(graph: Graph, version: int = spec.VERSION) -> bytes:
    """The bytes of a graph's file.

    Args:
        graph: What the file is to hold.
        version: Of the file; an earlier one to write it as older libraries do.

    Raises:
        GraphError: If the graph is not well-formed or too large.
    """
    verify(graph)
    blobs = [blob for op in graph.ops for blob in op_blobs(op, version).values()]
    texts = _Texts()
    texts.add(graph.input)
    op_table = _op_table(graph, texts)
    meta_table = b"".join(
        struct.pack(spec.META, *texts.add(key), *texts.add(value)) for key, value in graph.meta.items()
    )
    parts = spec.find_parts(len(graph.ops), len(blobs), len(graph.meta), len(texts.data))
    blob_table, end = _blob_table(blobs, parts.text_end)
    if end > spec.MAX_FILE:
        raise GraphError(f"The graph: expected a file of at most {spec.MAX_FILE} bytes, found {end}.")
    data = bytearray()
    for start, part in (
        (0, _header(graph, version, len(blobs), len(texts.data), end)),
        (parts.ops, op_table),
        (parts.blobs, blob_table),
        (parts.meta, meta_table),
        (parts.text, bytes(texts.data)),
    ):
        data += bytes(start - len(data)) + part
    for blob in blobs:
        data += bytes(spec.align(len(data)) - len(data)) + blob.data
    struct.pack_into("<I", data, 12, zlib.crc32(memoryview(data)[16:]))
    return bytes(data)


@dataclass(frozen=True)
class Blob:
    """A parameter as it is in the file."""

    dtype: int
    elements: int
    encoding: int
    filters: int
    data: bytes


def op_blobs(op: Op, version: int = spec.VERSION) -> dict[str, Blob]:
    """The blobs of an op in a file, by the name of the parameter, in its order and without absent ones."""
    fields = spec.LAYOUTS[type(op)].blobs
    present = ((field, dtype, getattr(op, field)) for field, dtype in fields)
    return {field: _blob(field, dtype, array, version) for field, dtype, array in present if array is not None}


def _blob(field: str, dtype: int, array: Array, version: int) -> Blob:
    if field == "weight" and dtype == spec.F32:
        encoding, data = real_code.encode(array, spec.NEWEST_ENCODING[version])
        return Blob(dtype, array.size, encoding, 0 if encoding == spec.RAW else len(array), data)
    if field == "weight" and dtype == spec.BITS:
        encoding, data = bit_code.encode(array.ravel(), prod(array.shape[2:]), spec.NEWEST_ENCODING[version])
        return Blob(dtype, array.size, encoding, 0, data)
    return Blob(dtype, array.size, spec.RAW, 0, _raw(dtype, array))


class _Texts:
    """All texts of a file, one after another."""

    def __init__(self) -> None:
        self.data = bytearray()

    def add(self, text: str) -> tuple[int, int]:
        """Append a text; returns its offset and its bytes."""
        start = len(self.data)
        self.data += text.encode()
        return start, len(self.data) - start


def _header(graph: Graph, version: int, blobs: int, text: int, size: int) -> bytes:
    shape = graph.input_type.shape
    dims = (*shape, 0, 0)[:3]
    counts = (len(graph.ops), blobs, text, len(graph.meta))
    kind, output = int(graph.input_type.kind), len(graph.ops)
    return struct.pack(spec.HEADER, spec.MAGIC, version, 0, size, *counts, kind, len(shape), *dims, output)


def _op_table(graph: Graph, texts: _Texts) -> bytes:
    """The records of all ops; their names and notes go to the texts."""
    tensors = {name: i for i, name in enumerate((graph.input, *(op.name for op in graph.ops)))}
    table = bytearray()
    next_blob = 0
    for op in graph.ops:
        layout = spec.LAYOUTS[type(op)]
        inputs = [tensors[name] for name in op.inputs]
        blobs = []
        for field, _ in layout.blobs:
            absent = getattr(op, field) is None
            blobs.append(spec.NONE if absent else next_blob)
            next_blob += not absent
        floats = [getattr(op, field) for field in layout.floats]
        table += struct.pack(
            spec.OP,
            layout.code,
            len(inputs),
            *texts.add(op.name),
            *texts.add(op.note),
            *_padded(inputs, MAX_INPUTS, 0),
            *_padded(blobs, spec.MAX_OP_BLOBS, spec.NONE),
            *_padded(_ints(op, layout), spec.MAX_OP_INTS, 0),
            *_padded(floats, spec.MAX_OP_FLOATS, 0.0),
        )
    return bytes(table)


def _ints(op: Op, layout: spec.Layout) -> list[int]:
    found: list[int] = []
    for field in layout.ints:
        value = getattr(op, field)
        if isinstance(value, Window):
            found += [*value.kernel, *value.stride, *value.padding, *value.dilation]
        else:
            found.append(int(value))
    return found


def _padded(values: list[Any], length: int, filler: Any) -> list[Any]:
    return values + [filler] * (length - len(values))


def _blob_table(blobs: list[Blob], start: int) -> tuple[bytes, int]:
    """The records of all blobs, the first of which follows `start`; and where the last one ends."""
    table = bytearray()
    end = start
    for blob in blobs:
        offset, size = spec.align(end), len(blob.data)
        table += struct.pack(spec.BLOB, offset, size, blob.elements, blob.dtype, blob.encoding, blob.filters)
        end = offset + size
    return bytes(table), end


def _raw(dtype: int, array: Array) -> bytes:
    if dtype == spec.BITS:
        return np.packbits(array.ravel(), bitorder="little").tobytes()
    return array.astype(spec.DTYPES[dtype]).tobytes()
