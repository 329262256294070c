import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from graphs import fixed_graphs, random_input, seeded_graph

from bitwright.errors import FormatError
from bitwright.format.writer import to_bytes, write
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Graph, Kind, TensorType, Window
from bitwright.runtime.engine import Engine, EngineTensor, available_isas, load


def small_graph(kind: Kind = Kind.REAL) -> Graph:
    rng = np.random.default_rng(0)
    ones = np.ones(4, np.float32)
    return Graph(
        "x",
        TensorType(kind, (4, 6, 6)),
        (
            ops.Affine(name="norm", inputs=("x",), scale=ones, shift=-ones),
            ops.Binarize(name="sign", inputs=("norm",), threshold=0 * ones),
            ops.BinaryConv(
                name="conv", inputs=("sign",), weight=rng.random((4, 4, 3, 3)) < 0.5, signed=True, window=Window((3, 3))
            ),
            ops.Affine(name="scale", inputs=("conv",), scale=ones),
            ops.Mean(name="mean", inputs=("scale",)),
            ops.Flatten(name="flat", inputs=("mean",)),
            ops.Linear(name="head", inputs=("flat",), weight=np.eye(3, 4, dtype=np.float32), bias=None),
        ),
        "head",
        {"labels": "cat\ndog\nfrog", "producer": "tests"},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(small_graph(), tmp_path / "net.bw")
    return tmp_path / "net.bw"


def test_an_engine_says_what_the_file_holds(path):
    engine = load(path)
    assert (engine.input_shape, engine.input_kind, engine.output_shape) == ((4, 6, 6), Kind.REAL, (3,))
    assert engine.input_dtype == np.float32
    assert engine.path == path
    assert engine.meta == {"labels": "cat\ndog\nfrog", "producer": "tests"}
    assert engine.labels == ("cat", "dog", "frog")
    assert engine.isa == available_isas()[-1] or "BITWRIGHT_ISA" in os.environ


def test_layers_and_their_times(path):
    engine = load(path, isa="reference")
    layers = engine.layers()
    assert [(layer.name, layer.op, layer.kernel, layer.fused) for layer in layers] == [
        ("norm", "Affine", "reference", ("sign",)),
        ("conv", "BinaryConv", "reference", ("scale",)),
        ("mean", "Mean", "reference", ()),
        ("head", "Linear", "reference", ()),
    ]
    assert (layers[1].input_shape, layers[1].output_shape) == ((4, 6, 6), (4, 4, 4))
    for times in (engine.profile(runs=3), engine.profile(np.zeros((2, 4, 6, 6), np.float32), runs=2)):
        assert [time.step for time in times] == layers
        assert all(0 < time.min_us <= time.median_us for time in times)


@pytest.mark.parametrize("isa", available_isas())
def test_steps_name_the_layouts_of_all_they_read_and_write(tmp_path, isa):
    """A residual network: its convolution reads bits and the stream, and writes both."""
    rng, ones = np.random.default_rng(0), np.ones(8, np.float32)
    graph = Graph(
        "x",
        TensorType(Kind.PIXEL, (8, 6, 6)),
        (
            ops.Affine(name="stream", inputs=("x",), scale=ones, shift=-ones),
            ops.Binarize(name="sign", inputs=("stream",), threshold=ones),
            ops.BinaryConv(
                name="conv",
                inputs=("sign",),
                weight=rng.random((8, 8, 3, 3)) < 0.5,
                signed=True,
                window=Window((3, 3), padding=(1, 1)),
            ),
            ops.Affine(name="scale", inputs=("conv",), scale=ones),
            ops.Add(name="add", inputs=("scale", "stream")),
            ops.Binarize(name="next", inputs=("add",), threshold=ones),
            ops.Decode(name="decoded", inputs=("next",)),
            ops.Add(name="y", inputs=("decoded", "add")),
        ),
        "y",
    )
    write(graph, tmp_path / "net.bw")
    first, conv, *_ = load(tmp_path / "net.bw", isa=isa).layers()
    bits, stream = EngineTensor((8, 6, 6), "sliced bits"), EngineTensor((8, 6, 6), "planar float32")
    assert first.reads == (EngineTensor((8, 6, 6), "planar uint8"),)
    assert set(first.writes) == {bits, stream}
    assert conv.reads == (bits, stream) and set(conv.writes) == {bits, stream}
    assert "planar uint8 -> float32 in registers" in first.changes
    assert "counts in registers -> float32 in registers" in conv.changes
    assert conv.changes[-1] == "float32 in registers -> sliced bits"
    assert conv.scratch_bytes > 0


@pytest.mark.parametrize("batch", [0, 1, 2, 7])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_batch_on_any_number_of_threads(path, batch, threads, rng):
    graph = small_graph()
    x = random_input(graph, rng, batch)
    engine = load(path, threads=threads)
    np.testing.assert_array_equal(engine(x), interpret(graph, x))
    np.testing.assert_array_equal(engine(x, threads=1), interpret(graph, x))


def test_arrays_of_any_layout(path, rng):
    x = random_input(small_graph(), rng, 4)
    engine = load(path)
    expected = engine(x)
    np.testing.assert_array_equal(engine(np.asfortranarray(x)), expected)
    np.testing.assert_array_equal(engine(np.repeat(x, 2, axis=0)[::2]), expected)
    shifted = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape)
    np.testing.assert_array_equal(engine(shifted), expected)


def test_pixels_are_bytes(tmp_path, rng):
    graph = small_graph(Kind.PIXEL)
    write(graph, tmp_path / "net.bw")
    engine = load(tmp_path / "net.bw")
    assert engine.input_dtype == np.uint8
    x = random_input(graph, rng)
    np.testing.assert_array_equal(engine(x), interpret(graph, x))
    assert len(engine.profile(runs=1)) == len(engine.layers())
    with pytest.raises(TypeError, match=r"expected uint8.*found float32"):
        engine(x.astype(np.float32))


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((2, 4, 6, 6)), TypeError, "expected float32, found float64"),
        (
            np.zeros((4, 6, 6), np.float32),
            ValueError,
            r"expected the shape \(N, 4, 6, 6\), found \(4, 6, 6\).*x\[None\]",
        ),
        (np.zeros((2, 6, 6, 4), np.float32), ValueError, r"found \(2, 6, 6, 4\)"),
        (np.full((1, 4, 6, 6), np.nan, np.float32), ValueError, "expected finite values"),
        (np.full((1, 4, 6, 6), -np.inf, np.float32), ValueError, "expected finite values"),
        ([[1.0]], TypeError, "expected a NumPy array, found list"),
    ],
)
def test_a_wrong_input_is_refused(path, x, error, message):
    engine = load(path)
    with pytest.raises(error, match=message):
        engine(x)
    with pytest.raises(error, match=message):
        engine.profile(x)


@pytest.mark.parametrize("threads", [0, -1, 257])
def test_a_wrong_number_of_threads_is_refused(path, threads):
    with pytest.raises(ValueError, match=f"threads: expected 1 to 256, found {threads}"):
        load(path, threads=threads)
    with pytest.raises(ValueError, match=f"threads: expected 1 to 256, found {threads}"):
        load(path)(np.zeros((1, 4, 6, 6), np.float32), threads=threads)


def test_a_wrong_number_of_runs_and_an_empty_batch_cannot_be_timed(path):
    with pytest.raises(ValueError, match="runs: expected at least 1"):
        load(path).profile(runs=0)
    with pytest.raises(ValueError, match="expected at least one sample"):
        load(path).profile(np.zeros((0, 4, 6, 6), np.float32))


def test_the_instruction_set_can_be_named(path, monkeypatch):
    for isa in available_isas():
        assert load(path, isa=isa).isa == isa
        monkeypatch.setenv("BITWRIGHT_ISA", isa)
        assert load(path).isa == isa
    with pytest.raises(ValueError, match=r"isa: expected one of reference, portable.*found 'sse9'"):
        load(path, isa="sse9")
    monkeypatch.setenv("BITWRIGHT_ISA", "sse9")
    with pytest.raises(ValueError, match=r"BITWRIGHT_ISA: expected one of reference, portable.*found 'sse9'"):
        load(path)


def test_a_kernel_can_be_named(path):
    assert Engine(path, choices={"conv": "reference"}).layers()[1].kernel == "reference"
    with pytest.raises(ValueError, match=r"conv: .* has no kernel 'abacus'"):
        Engine(path, choices={"conv": "abacus"})
    with pytest.raises(ValueError, match="expected names of binary convolutions, found 'head'"):
        Engine(path, choices={"head": "reference"})


def test_damaged_and_missing_files_are_refused_by_name(path, tmp_path):
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(FormatError, match=r"net\.bw: header: expected a file of \d+ bytes, found"):
        load(path)
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(FormatError, match=r"net\.bw: checksum: expected [0-9a-f]{8}, found"):
        load(path)
    path.write_bytes(b"PK\x03\x04 and more")
    with pytest.raises(FormatError, match=r"net\.bw: expected a bitwright file"):
        load(path)
    path.write_bytes(data[:8] + b"\x63" + data[9:])
    with pytest.raises(FormatError, match=r"found version 99\. Update bitwright"):
        load(path)
    path.write_bytes(b"")
    with pytest.raises(FormatError, match="found an empty file"):
        load(path)
    with pytest.raises(FileNotFoundError, match=r"absent\.bw"):
        load(tmp_path / "absent.bw")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)


def test_what_cannot_be_mapped_is_read(path, tmp_path, rng):
    """A pipe has no length: the header says how much there is, and what differs from that is refused."""
    data, pipe = path.read_bytes(), tmp_path / "pipe"
    os.mkfifo(pipe)

    def load_piped(data: bytes) -> Engine:
        writer = threading.Thread(target=pipe.write_bytes, args=(data,))
        writer.start()
        try:
            return load(pipe)
        finally:
            writer.join()

    x = random_input(small_graph(), rng)
    np.testing.assert_array_equal(load_piped(data)(x), load(path)(x))
    for damaged in (data[:-1], data + b"\0", data[:40]):
        with pytest.raises(FormatError, match=f"pipe: header: expected .*found .*{len(damaged)}"):
            load_piped(damaged)
    with pytest.raises(FormatError, match=r"pipe: expected a bitwright file.* found an empty file"):
        load_piped(b"")


def test_a_new_file_under_the_same_name_leaves_an_engine_as_it_is(path, rng):
    x = random_input(small_graph(), rng)
    engine = load(path)
    expected = engine(x)
    write(seeded_graph(11), path)
    np.testing.assert_array_equal(engine(x), expected)


@pytest.mark.parametrize("features", [511, 512, 1024])
def test_weights_of_linear_layers_are_used_where_they_lie_in_the_file(features, tmp_path, rng):
    """Rows of a multiple of 512 bits are as the kernels want them; the others are packed anew."""
    graph = Graph(
        "x",
        TensorType(Kind.REAL, (features,)),
        (
            ops.Binarize(name="sign", inputs=("x",), threshold=np.zeros(features, np.float32)),
            ops.BinaryLinear(name="fc", inputs=("sign",), weight=rng.random((9, features)) < 0.5, signed=True),
            ops.Affine(name="y", inputs=("fc",), scale=np.ones(9, np.float32)),
        ),
        "y",
    )
    write(graph, tmp_path / "net.bw")
    x = random_input(graph, rng)
    for isa in available_isas():
        np.testing.assert_array_equal(load(tmp_path / "net.bw", isa=isa)(x), interpret(graph, x))


def test_many_threads_share_one_engine(tmp_path, rng):
    graph = seeded_graph(11)
    write(graph, tmp_path / "net.bw")
    engine = load(tmp_path / "net.bw")
    inputs = [random_input(graph, rng, 1 + i % 3) for i in range(8)]
    expected = [interpret(graph, x) for x in inputs]
    wrong: list[int] = []

    def work(i: int) -> None:
        for _ in range(50):
            if not np.array_equal(engine(inputs[i], threads=1 + i % 3), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_starts_its_own_threads(path):
    code = (
        "import os, sys, numpy as np\n"
        "from bitwright.runtime.engine import load\n"
        "engine = load(sys.argv[1], threads=2)\n"
        "x = np.ones((4, 4, 6, 6), np.float32)\n"
        "y = engine(x)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    same = np.array_equal(engine(x), y)\n"
        "    del engine\n"
        "    os._exit(0 if same else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60)


def test_the_engine_needs_no_torch(path):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np\n"
        "from bitwright.runtime.engine import load\n"
        "print(load(sys.argv[1])(np.ones((1, 4, 6, 6), np.float32)).shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "(1, 3)"


def test_memory_is_shared_between_layers():
    """The arena of a deep network is far smaller than all its tensors together."""
    from bitwright import _native

    ones = np.ones(16, np.float32)
    layers: list[ops.Op] = []
    for i in range(20):
        layers.append(ops.MaxPool(name=f"p{i}", inputs=(layers[-1].name if layers else "x",), window=Window((1, 1))))
    layers.append(ops.Affine(name="y", inputs=("p19",), scale=ones))
    graph = Graph("x", TensorType(Kind.REAL, (16, 8, 8)), tuple(layers), "y")
    assert _native.Engine(to_bytes(graph)).arena_bytes == 2 * 16 * 8 * 8 * 4


def test_fixed_graphs_through_files(tmp_path, rng):
    for i, graph in enumerate(fixed_graphs()[::6]):
        write(graph, tmp_path / f"{i}.bw")
        x = random_input(graph, rng)
        np.testing.assert_array_equal(load(tmp_path / f"{i}.bw")(x), interpret(graph, x))
