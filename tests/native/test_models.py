"""The models that native/tests/test_models.cpp runs, under emulators too, where this suite does not go."""

import numpy as np
from models import BATCH, models, write_models

from bitwright.format import spec
from bitwright.format.reader import read
from bitwright.format.writer import op_blobs
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Kind
from bitwright.ir.verify import infer


def test_they_hold_every_op_every_pair_of_levels_and_every_encoding_of_bits():
    kinds, pairs, encodings = set(), set(), set()
    for graph in models():
        types = infer(graph)
        for op in graph.ops:
            kinds.add(type(op))
            if isinstance(op, ops.BinaryConv | ops.BinaryLinear):
                pairs.add((type(op), types[op.inputs[0]].kind, op.signed))
                encodings.add(op_blobs(op)["weight"].encoding)
    assert kinds == set(spec.LAYOUTS)
    assert encodings == {spec.RAW, spec.GAPS, spec.ENTROPY, spec.PATTERNS, spec.HUFFMAN}
    assert pairs == {
        (op, kind, signed)
        for op in (ops.BinaryConv, ops.BinaryLinear)
        for kind in (Kind.SIGN, Kind.BIT, Kind.DIGIT)
        for signed in (False, True)
    }


def test_their_files_hold_what_the_interpreter_says(tmp_path):
    write_models(tmp_path, models()[:10])
    for i in range(10):
        graph = read(tmp_path / f"{i}.bw")
        x = np.fromfile(tmp_path / f"{i}.in", np.uint8 if graph.input_type.kind == Kind.PIXEL else np.float32)
        y = interpret(graph, x.reshape(BATCH, *graph.input_type.shape))
        np.testing.assert_array_equal(np.fromfile(tmp_path / f"{i}.out", np.float32), y.ravel())
