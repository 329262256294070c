"""docs/format.md says what the code says: opcodes, fields, constants."""

import re
import struct
from pathlib import Path

from bitwright.format import spec
from bitwright.ir import limits
from bitwright.ir.ops import Kind

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
DTYPES = {"f32": spec.F32, "i32": spec.I32, "bits": spec.BITS, "i16": spec.I16}


def rows(header: str) -> list[list[str]]:
    """The cells of the table that has this header."""
    table = PAGE[PAGE.index(header) :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table[2:]]


def names(cell: str) -> tuple[str, ...]:
    return tuple(cell.replace(",", " ").split())


def test_the_table_of_ops_equals_the_layouts():
    found = {}
    optional = set()
    for code, op, ints, floats, blobs in rows("| code | op |"):
        pairs = [blob.split() for blob in blobs.split(",") if blob.strip()]
        optional |= {name.rstrip("?") for name, _ in pairs if name.endswith("?")}
        assert all(name.endswith("?") == (name.rstrip("?") in spec.OPTIONAL) for name, _ in pairs)
        fields = tuple((name.rstrip("?"), DTYPES[dtype]) for name, dtype in pairs)
        found[op] = spec.Layout(int(code), names(ints), names(floats), fields)
    assert found == {op.__name__: layout for op, layout in spec.LAYOUTS.items()}
    assert optional == spec.OPTIONAL


def test_every_op_has_a_meaning():
    assert [row[0] for row in rows("| op | inputs to output |")] == [op.__name__ for op in spec.LAYOUTS]


def test_kinds_are_those_of_the_code():
    assert {name: int(number) for number, name, _ in rows("| number | kind |")} == {k.name: int(k) for k in Kind}


def test_records_are_as_long_as_the_page_says():
    widths = {part: size for part, size in rows("| part | bytes |")}
    assert widths["header"].startswith(f"{struct.calcsize(spec.HEADER)}")
    for part, layout in (("op table", spec.OP), ("blob table", spec.BLOB), ("metadata table", spec.META)):
        assert widths[part].startswith(f"{struct.calcsize(layout)} for each")


def test_constants_are_those_of_the_code():
    magic = re.search(r"magic: `([0-9A-F ]+)`", PAGE)
    assert magic and bytes.fromhex(magic[1]) == spec.MAGIC
    assert f"version: {spec.VERSION}." in PAGE
    assert PAGE.startswith(f"# The .bw file, version {spec.VERSION}\n")
    assert f"absent blob, which is `0x{spec.NONE:08X}`" in PAGE
    assert f"next multiple of {spec.ALIGN} bytes" in PAGE
    numbers = f"{spec.RAW} raw, {spec.TWO_LEVELS} two levels, {spec.GAPS} gaps, {spec.ENTROPY} entropy"
    assert f"encoding: {numbers}, {spec.PATTERNS} patterns, {spec.HUFFMAN} huffman, {spec.INT8} int8 |" in PAGE


def test_limits_are_those_of_the_code():
    found = [eval(value.replace("^", "**"), {}) for _, value in rows("| what | at most |")]
    assert found == [
        spec.MAX_FILE,
        limits.MAX_OPS,
        limits.MAX_TEXT,
        limits.MAX_META,
        limits.MAX_DIM,
        limits.MAX_ELEMENTS,
        limits.MAX_WINDOW,
        limits.MAX_CLASSES,
        limits.MAX_TAPS,
        limits.MAX_PIXEL_WEIGHTS,
    ]
