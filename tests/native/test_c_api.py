"""The C library as it is installed: what it says and computes, what it refuses, and the example that uses it."""

import os
import re
import resource
import shutil
import subprocess
import sys
import threading
from ctypes import byref, c_char_p
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from c_api import (
    BAD_FILE,
    ENGINE,
    INVALID_ARGUMENT,
    NOT_FOUND,
    OK,
    OUT_OF_MEMORY,
    SYSTEM_ERROR,
    CEngine,
    Library,
    Options,
    Refused,
)
from graphs import fixed_graphs, random_input, seeded_graph

from bitwright.format.writer import to_bytes, write
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Graph, Kind, TensorType, Window
from bitwright.runtime.engine import Engine, available_isas, load

ROOT = Path(__file__).parents[2]
LABELS = ("cat", "dog", "frog", "Schlo\N{LATIN SMALL LETTER SHARP S}")


def find(*names: str) -> str:
    """A program of this Python's environment or of the system."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    for name in names:
        if program := shutil.which(name, path=path):
            return program
    pytest.skip(f"there is no {' or '.join(names)}")


def build(source: Path, folder: Path, **settings: str) -> None:
    flags = [f"-D{name}={value}" for name, value in settings.items()]
    make = f"-DCMAKE_MAKE_PROGRAM={find('ninja')}"
    subprocess.run([find("cmake"), "-G", "Ninja", make, "-S", source, "-B", folder, *flags], check=True)
    subprocess.run([find("cmake"), "--build", folder], check=True)


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the library is installed, which is not where it was installed at first."""
    find("cc", "gcc", "clang")
    find("c++", "g++", "clang++")
    folder = tmp_path_factory.mktemp("library")
    # without optimisation the kernels take a quarter of the time to compile; how fast they are is not the question here
    settings = {"BITWRIGHT_LIBRARY": "ON", "CMAKE_BUILD_TYPE": "None", "CMAKE_CXX_FLAGS": "-O0"}
    build(ROOT, folder / "build", CMAKE_INSTALL_LIBDIR="lib", **settings)
    subprocess.run([find("cmake"), "--install", folder / "build", "--prefix", folder / "first"], check=True)
    return Path(shutil.move(folder / "first", folder / "moved"))


@pytest.fixture(scope="module")
def library(prefix: Path) -> Library:
    return Library(prefix / "lib" / "libbitwright.so")


@pytest.fixture(scope="module")
def classify(prefix: Path) -> Path:
    """The example, built as its page says."""
    folder = prefix.parent / "example"
    build(
        ROOT / "examples" / "c",
        folder,
        CMAKE_PREFIX_PATH=str(prefix),
        CMAKE_C_FLAGS="-Wall -Wextra -Wpedantic -Werror",
    )
    return folder / "classify"


def classifier(channels: int, kind: Kind = Kind.PIXEL) -> Graph:
    """A small network for images of 9x14 pixels."""
    rng = np.random.default_rng(channels)

    def real(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    window = Window((3, 3), padding=(1, 1))
    return Graph(
        "x",
        TensorType(kind, (channels, 9, 14)),
        (
            ops.Affine(name="norm", inputs=("x",), scale=real(channels) / 100, shift=real(channels)),
            ops.Conv(name="stem", inputs=("norm",), weight=real(20, channels, 3, 3), bias=real(20), window=window),
            ops.Binarize(name="sign", inputs=("stem",), threshold=np.zeros(20, np.float32)),
            ops.BinaryConv(
                name="conv", inputs=("sign",), weight=rng.random((16, 20, 3, 3)) < 0.5, signed=True, window=window
            ),
            ops.Affine(name="scale", inputs=("conv",), scale=real(16)),
            ops.Flatten(name="flat", inputs=("scale",)),
            ops.Linear(name="head", inputs=("flat",), weight=real(4, 16 * 9 * 14), bias=None),
        ),
        "head",
        {"labels": "\n".join(LABELS), "producer": "tests"},
    )


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Write (C, H, W) pixels as a binary PGM or PPM file."""
    channels, height, width = pixels.shape
    header = f"P{5 if channels == 1 else 6}\n{width} {height}\n255\n"
    path.write_bytes(header.encode() + pixels.transpose(1, 2, 0).tobytes())


def run_example(*arguments: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_example_finds_what_the_python_engine_finds(classify, channels, tmp_path, rng):
    graph = classifier(channels)
    write(graph, tmp_path / "net.bw")
    images = random_input(graph, rng, 12)
    expected = [f"{i}: {LABELS[i]}" for i in load(tmp_path / "net.bw")(images).argmax(1)]
    assert len(set(expected)) > 1
    found = []
    for pixels in images:
        write_image(tmp_path / "image", pixels)
        done = run_example(classify, tmp_path / "net.bw", tmp_path / "image")
        assert (done.returncode, done.stderr) == (0, "")
        found.append(done.stdout.rstrip("\n"))
    assert found == expected


def test_the_example_says_what_is_wrong(classify, tmp_path, rng):
    net, image = tmp_path / "net.bw", tmp_path / "image.pgm"
    write(classifier(1), net)
    pixels = random_input(classifier(1), rng, 1)[0]

    def says(expected: str) -> None:
        done = run_example(classify, net, image)
        assert (done.returncode, done.stdout) == (1, "")
        assert re.search(expected, done.stderr), done.stderr

    wrong_image = "expected a PGM or PPM image of the size that the network takes"
    says(wrong_image)  # there is none
    write_image(image, pixels.transpose(0, 2, 1))
    says(wrong_image)
    write_image(image, np.repeat(pixels, 3, axis=0))
    says(wrong_image)
    write_image(image, pixels)
    image.write_bytes(image.read_bytes()[:-1])
    says(wrong_image)
    write(classifier(1, Kind.REAL), net)
    says("expected a network of pixels")
    net.write_bytes(net.read_bytes()[:-1])
    says(r"net\.bw: header: expected a file of \d+ bytes")
    net.unlink()
    says("net.bw: No such file")


def test_the_header_is_also_cpp(prefix):
    flags = ["-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-x", "c++"]
    header = prefix / "include" / "bitwright.h"
    subprocess.run([find("c++", "g++", "clang++"), *flags, header], check=True)


def test_the_library_shows_nothing_but_the_interface(prefix):
    symbols = [find("nm"), "--dynamic", "--defined-only", prefix / "lib" / "libbitwright.so"]
    shown = {line.split()[-1] for line in subprocess.check_output(symbols, text=True).splitlines()}
    declared = set(re.findall(r"\b(bw_\w+)\(", (prefix / "include" / "bitwright.h").read_text()))
    assert shown == declared
    assert "bw_open" in shown


def test_the_version_is_that_of_the_package(library, prefix):
    found = library.functions.bw_version().decode()
    assert version("bitwright").startswith(found)
    assert (prefix / "lib" / f"libbitwright.so.{found}").is_file()


def assert_same(engine: CEngine, python: Engine) -> None:
    """Both say the same of themselves."""
    d = engine.description
    assert (d.input.shape(), d.output.shape()) == (python.input_shape, python.output_shape)
    assert (d.input.kind, d.output.kind, d.output.dtype) == (python.input_kind, Kind.REAL, 0)
    assert d.input.dtype == (1 if python.input_dtype == np.uint8 else 0)
    assert d.input.bytes == d.input.elements * python.input_dtype.itemsize
    assert d.input.elements == np.prod(python.input_shape)
    assert d.isa.decode() == python.isa
    assert [engine.label(i) for i in range(d.labels)] == list(python.labels)
    assert {key: engine.meta(key) for key in python.meta} == python.meta
    steps = [(step.name, step.op, step.kernel) for step in python.layers()]
    assert [engine.step(i) for i in range(d.steps)] == steps


@pytest.mark.parametrize("isa", available_isas())
def test_an_engine_equals_that_of_python(library, isa, tmp_path, rng):
    path = tmp_path / "net.bw"
    for graph in (classifier(3), *fixed_graphs()[::4]):
        write(graph, path)
        x = random_input(graph, rng, 3)
        expected = interpret(graph, x)
        for file in (path, path.read_bytes()):
            with CEngine(library, file, isa=isa) as engine:
                assert_same(engine, load(path, isa=isa))
                for threads in (0, 1, 2):
                    np.testing.assert_array_equal(engine(x, threads), expected)
                assert engine(x[:0]).shape == (0, *expected.shape[1:])


def test_options_have_defaults(library):
    data = to_bytes(classifier(1))
    with CEngine(library, data) as engine, CEngine(library, data, threads=3) as other:
        assert (engine.description.threads, other.description.threads) == (1, 3)
        assert engine.description.isa == other.description.isa
    handle = ENGINE()
    assert library.functions.bw_open_memory(data, len(data), None, byref(handle), None) == OK
    library.functions.bw_close(handle)
    library.functions.bw_close(None)


def test_the_instruction_sets_are_those_of_python(library):
    isas = available_isas()
    assert [library.text("bw_get_isa", i) for i in range(len(isas))] == isas
    with pytest.raises(Refused, match=f"instruction sets: expected an index below {len(isas)}, found {len(isas)}"):
        library.text("bw_get_isa", len(isas))


def test_two_threads_share_one_engine(library, tmp_path, rng):
    graph = seeded_graph(11)
    inputs = [random_input(graph, rng, 1 + i) for i in range(4)]
    expected = [interpret(graph, x) for x in inputs]
    with CEngine(library, to_bytes(graph)) as engine:
        wrong: list[int] = []

        def work(i: int) -> None:
            for _ in range(50):
                if not np.array_equal(engine(inputs[i], threads=1 + i % 2), expected[i]):
                    wrong.append(i)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(len(inputs))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


def refuses(status: int, match: str):
    return pytest.raises(Refused, match=f"^{status}: .*{match}")


def test_files_that_cannot_be_opened_are_refused(library, tmp_path):
    path, data = tmp_path / "net.bw", to_bytes(classifier(1))
    with refuses(SYSTEM_ERROR, r"absent\.bw: No such file or directory"):
        CEngine(library, tmp_path / "absent.bw")
    with refuses(SYSTEM_ERROR, "Is a directory"):
        CEngine(library, tmp_path)
    damaged = data[:-1] + bytes([data[-1] ^ 1])
    for bad, text in ((data[:-1], "header"), (damaged, "checksum"), (b"", "empty file"), (b"PK", "bitwright file")):
        path.write_bytes(bad)
        with refuses(BAD_FILE, rf"net\.bw: .*{text}"):
            CEngine(library, path)
        with refuses(BAD_FILE, text):
            CEngine(library, bad)


def test_tuning_changes_no_result(library, rng):
    graph = classifier(1)
    x = random_input(graph, rng, 2)
    with CEngine(library, to_bytes(graph), tune=True) as engine:
        np.testing.assert_array_equal(engine(x), interpret(graph, x))


def test_wrong_options_are_refused(library):
    data = to_bytes(classifier(1))
    with refuses(INVALID_ARGUMENT, "isa: expected one of reference, .*found 'sse9'"):
        CEngine(library, data, isa="sse9")
    for threads in (-1, 257):
        with refuses(INVALID_ARGUMENT, f"threads: expected 1 to 256, or 0 for the default, found {threads}"):
            CEngine(library, data, threads=threads)
    handle = ENGINE()
    with refuses(INVALID_ARGUMENT, "options: expected a size of 24 bytes, found 0"):
        library.call("bw_open_memory", data, len(data), byref(Options()), byref(handle))
    assert handle.value is None


def test_null_pointers_are_refused(library):
    data = to_bytes(classifier(1))
    with CEngine(library, data) as engine:
        handle, text, x = engine.handle, c_char_p(), np.zeros(9 * 14, np.uint8).ctypes.data
        for name, arguments, null in (
            ("bw_open", (None, None, byref(handle)), "path"),
            ("bw_open", (b"net.bw", None, None), "engine"),
            ("bw_open_memory", (None, 8, None, byref(handle)), "data"),
            ("bw_open_memory", (data, len(data), None, None), "engine"),
            ("bw_describe", (None, byref(engine.description)), "engine"),
            ("bw_describe", (handle, None), "description"),
            ("bw_get_label", (None, 0, byref(text)), "engine"),
            ("bw_get_label", (handle, 0, None), "label"),
            ("bw_get_meta", (None, b"labels", byref(text)), "engine"),
            ("bw_get_meta", (handle, None, byref(text)), "key"),
            ("bw_get_meta", (handle, b"labels", None), "value"),
            ("bw_get_step", (None, 0, None), "engine"),
            ("bw_get_step", (handle, 0, None), "step"),
            ("bw_run", (None, x, 126, x, 16, 1, 1), "engine"),
            ("bw_run", (handle, None, 126, x, 16, 1, 1), "input"),
            ("bw_run", (handle, x, 126, None, 16, 1, 1), "output"),
            ("bw_get_isa", (0, None), "isa"),
        ):
            with refuses(INVALID_ARGUMENT, f"{null}: expected a pointer, found NULL"):
                library.call(name, *arguments)
            assert getattr(library.functions, name)(*arguments, None) == INVALID_ARGUMENT


def test_wrong_sizes_and_values_are_refused(library):
    graph = classifier(1, Kind.REAL)
    with CEngine(library, to_bytes(graph)) as engine:
        x, y = np.zeros((2, 1, 9, 14), np.float32), np.full((2, 4), 7, np.float32)

        def run(input_bytes: int, output_bytes: int, samples: int = 2, threads: int = 1) -> None:
            pointers = x.ctypes.data, y.ctypes.data
            library.call("bw_run", engine.handle, pointers[0], input_bytes, pointers[1], output_bytes, samples, threads)

        for size in (0, x.nbytes // 2, x.nbytes - 1, x.nbytes + 1):
            with refuses(INVALID_ARGUMENT, f"input: expected 2 samples of 504 bytes, found {size} bytes"):
                run(size, y.nbytes)
        for size in (0, y.nbytes // 2, y.nbytes - 1, y.nbytes + 1):
            with refuses(INVALID_ARGUMENT, f"output: expected 2 samples of 16 bytes, found {size} bytes"):
                run(x.nbytes, size)
        with refuses(INVALID_ARGUMENT, r"input: expected \d+ samples"):
            run(0, 0, samples=2**61)  # times 504 is 0 in 64 bits
        with refuses(INVALID_ARGUMENT, "threads: expected 1 to 256, or 0 for the default, found 257"):
            run(x.nbytes, y.nbytes, threads=257)
        x[1, 0, 8, 13] = np.inf
        with refuses(INVALID_ARGUMENT, "expected finite values"):
            run(x.nbytes, y.nbytes)
        assert (y == 7).all()


def test_what_is_not_there_is_refused(library):
    with CEngine(library, to_bytes(classifier(1))) as engine:
        with refuses(NOT_FOUND, "labels: expected an index below 4, found 4"):
            engine.label(4)
        with refuses(NOT_FOUND, f"steps: expected an index below {engine.description.steps}, found {2**64 - 1}"):
            engine.step(2**64 - 1)
        with refuses(NOT_FOUND, "the file has no key 'colour'"):
            engine.meta("colour")


def test_long_errors_are_cut_between_characters(library):
    with CEngine(library, to_bytes(classifier(1))) as engine:
        for key in ("\N{SNOWMAN}" * 400, "x" + "\N{SNOWMAN}" * 400, "xx" + "\N{SNOWMAN}" * 400):
            with refuses(NOT_FOUND, f"'{key[:300]}") as found:
                engine.meta(key)
            assert 1019 < len(str(found.value).encode()) - len("2: ") <= 1023


def test_a_lack_of_memory_is_reported(library):
    """1000 channels of 256x256 floats do not fit where 64 MB are left; afterwards the engine works as before."""
    graph = Graph(
        "x",
        TensorType(Kind.REAL, (1, 256, 256)),
        (
            ops.PadChannels(name="pad", inputs=("x",), before=0, after=999),
            ops.Mean(name="mean", inputs=("pad",)),
        ),
        "mean",
    )
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("this system does not tell a process's memory")
    x = np.ones((1, 1, 256, 256), np.float32)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with CEngine(library, to_bytes(graph)) as engine:
        used = next(
            int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmSize")
        )
        resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), hard))
        try:
            with refuses(OUT_OF_MEMORY, "not enough memory"):
                engine(x)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        np.testing.assert_array_equal(engine(x).ravel(), [1.0] + [0.0] * 999)
