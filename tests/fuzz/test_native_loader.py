import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from coded import coded_graphs
from damage import damaged
from graphs import fixed_graphs
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright import _native
from bitwright.errors import FormatError
from bitwright.format.reader import from_bytes
from bitwright.format.writer import to_bytes
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Graph, Kind

ROOT = Path(__file__).parents[2]
FILES = [to_bytes(graph) for graph in (*fixed_graphs(), *coded_graphs())]
SMALL = [data for data in FILES if len(data) < 8192]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def load(data: bytes, isa: str = "") -> _native.Engine | None:
    try:
        return _native.Engine(data, isa=isa)
    except FormatError:
        return None


def is_little_work(graph: Graph) -> bool:
    """Whether damage has not blown the graph up: parameters stay small, but windows and channels may not."""
    arrays = [value for op in graph.ops for value in vars(op).values() if isinstance(value, np.ndarray)]
    windows = [op.window for op in graph.ops if hasattr(op, "window")]
    return np.prod(graph.input_type.shape) < 5000 and sum(a.size for a in arrays) < 1e6 and len(windows) < 20


@given(damaged(FILES))
@settings(max_examples=4 * settings().max_examples)
def test_damaged_bytes_are_accepted_by_both_readers_or_by_none(data: bytes) -> None:
    engine = load(data)
    try:
        graph = from_bytes(data)
    except FormatError:
        assert engine is None
        return
    assert engine is not None
    if not is_little_work(graph):
        return
    x = np.ones((2, *graph.input_type.shape), np.uint8 if graph.input_type.kind == Kind.PIXEL else np.float32)
    y = np.empty((2, *engine.output_shape), np.float32)
    engine.run(x, y)
    np.testing.assert_array_equal(y, interpret(graph, x))


@given(st.binary(max_size=300))
def test_foreign_bytes_are_refused(data: bytes) -> None:
    assert load(data) is None


@given(st.sampled_from(SMALL), st.data())
def test_truncated_files_are_refused(data: bytes, draw: st.DataObject) -> None:
    assert load(data[: draw.draw(st.integers(0, len(data) - 1))]) is None


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The loader and the reference kernels, built with sanitizers."""
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("sanitized")
    probe = folder / "probe.cpp"
    probe.write_text("int main() {}\n")
    if subprocess.run([compiler, *SANITIZE, probe, "-o", folder / "probe"], capture_output=True).returncode != 0:
        pytest.skip(f"{compiler} lacks the address or undefined-behaviour sanitizer")
    source = ROOT / "native" / "src"
    units = [path for path in source.glob("*.cpp") if not path.name.startswith(("isa_", "c_api"))]
    units += [*(source / "kernels").glob("reference*.cpp"), ROOT / "native" / "fuzz" / "load_files.cpp"]
    program = folder / "load_files"
    flags = ["-std=c++17", "-O1", "-g1", "-ffp-contract=off", "-DBITWRIGHT_REFERENCE_ONLY", "-pthread", f"-I{source}"]
    subprocess.run([compiler, *flags, *SANITIZE, *units, "-o", program], check=True)
    return program


def check(program: Path, files: list[bytes]) -> list[str]:
    """What the sanitized program says of each file."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{i}.bw" for i in range(len(files))]
        for path, data in zip(paths, files, strict=True):
            path.write_bytes(data)
        env = os.environ | {"ASAN_OPTIONS": "allocator_may_return_null=1", "BITWRIGHT_ISA": ""}
        found = subprocess.run([program, *paths], capture_output=True, text=True, env=env)
        assert found.returncode == 0, found.stderr[-4000:]
        return found.stdout.splitlines()


def test_sanitizers_find_nothing_in_sound_files(checker: Path) -> None:
    said = check(checker, FILES)
    assert len(said) == len(FILES)
    assert all(line.startswith(("ran", "loaded")) for line in said)
    assert sum(line.startswith("ran") for line in said) > len(FILES) // 2


@given(st.lists(damaged(FILES), min_size=50, max_size=50))
@settings(max_examples=settings().max_examples // 4)
def test_sanitizers_find_nothing_in_damaged_files(checker: Path, files: list[bytes]) -> None:
    said = check(checker, files)
    assert len(said) == len(files)
