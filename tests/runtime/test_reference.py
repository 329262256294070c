"""The NumPy engine: from a file to logits, with the checks of the common interface."""

import subprocess
import sys

import numpy as np
import pytest
from graphs import fixed_graphs, random_input

from bitwright.errors import FormatError
from bitwright.format.writer import write
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Graph, Kind, TensorType
from bitwright.runtime.reference import NumpyEngine


@pytest.fixture
def engine(tmp_path) -> NumpyEngine:
    scale = np.array([1 / 255, 2 / 255], np.float32)
    affine = ops.Affine(name="y", inputs=("x",), scale=scale, shift=np.zeros(2, np.float32))
    mean = ops.Mean(name="z", inputs=("y",))
    write(Graph("x", TensorType(Kind.PIXEL, (2, 3, 4)), (affine, mean), "z"), tmp_path / "net.bw")
    return NumpyEngine(tmp_path / "net.bw")


def test_it_says_what_it_takes_and_gives(engine):
    assert engine.input_shape == (2, 3, 4)
    assert engine.input_kind == Kind.PIXEL
    assert engine.input_dtype == np.uint8
    assert engine.output_shape == (2, 1, 1)


def test_it_runs_a_batch(engine):
    y = engine(np.full((5, 2, 3, 4), 255, np.uint8), threads=2)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, np.tile([[[[1.0]], [[2.0]]]], (5, 1, 1, 1)), rtol=1e-6)


def test_it_equals_the_interpreter(tmp_path, rng):
    for graph in fixed_graphs()[:10]:
        write(graph, tmp_path / "net.bw")
        x = random_input(graph, rng)
        assert NumpyEngine(tmp_path / "net.bw")(x).tobytes() == interpret(graph, x).tobytes()


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((1, 2, 3, 4), np.float32), TypeError, r"expected uint8 \(pixels, not normalised\), found float32"),
        (np.zeros((1, 3, 3, 4), np.uint8), ValueError, r"expected the shape \(N, 2, 3, 4\), found \(1, 3, 3, 4\)"),
        (np.zeros((2, 3, 4), np.uint8), ValueError, r"Add the batch dimension: x\[None\]"),
    ],
)
def test_a_wrong_batch_is_refused(engine, x, error, message):
    with pytest.raises(error, match=message):
        engine(x)


def test_threads_are_positive(engine):
    with pytest.raises(ValueError, match="threads: expected 1 or more, found 0"):
        engine(np.zeros((1, 2, 3, 4), np.uint8), threads=0)


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "net.bw").write_bytes(b"\x89BW\r\n\x1a\n\x00")
    with pytest.raises(FormatError, match=r"net\.bw: header: expected 64 bytes"):
        NumpyEngine(tmp_path / "net.bw")


def test_it_needs_no_torch():
    code = "import sys; import bitwright.runtime.reference, bitwright.report.summary; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
