"""A tiny packed network, images for it, and the command itself in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bitwright.format.writer import write
from bitwright.ir import ops
from bitwright.ir.ops import Kind, TensorType, Window

WITHOUT = """
import sys


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Absent())
from bitwright.cli.main import main
sys.exit(main())
"""


@pytest.fixture(scope="session")
def bw():
    """The installed command; with `without`, in an interpreter where some packages cannot be imported."""

    def call(*arguments, without=(), env=None, cwd=None):
        script = Path(sys.executable).with_name("bw")
        if without:
            command = [sys.executable, "-c", WITHOUT.format(names=tuple(without))]
        elif script.exists():
            command = [str(script)]
        else:
            command = [sys.executable, "-m", "bitwright.cli.main"]
        return subprocess.run(
            [*command, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=cwd,
            env={**os.environ, **(env or {})},
        )

    return call


@pytest.fixture(scope="session")
def graph():
    """Pixels of 8x8, one binary convolution with a folded threshold, one binary linear layer, three classes."""
    rng = np.random.default_rng(7)
    return ops.Graph(
        "input",
        TensorType(Kind.PIXEL, (1, 8, 8)),
        (
            ops.Affine(
                name="normalize",
                inputs=("input",),
                scale=np.full(1, 1 / 64, np.float32),
                shift=np.full(1, -2, np.float32),
            ),
            ops.Conv(
                name="first",
                inputs=("normalize",),
                weight=rng.standard_normal((4, 1, 3, 3)).astype(np.float32),
                bias=None,
                window=Window((3, 3), padding=(1, 1)),
                note="the first layer is real",
            ),
            ops.Binarize(name="sign", inputs=("first",), threshold=np.zeros(4, np.float32)),
            ops.BinaryConv(
                name="inner",
                inputs=("sign",),
                weight=rng.random((8, 4, 3, 3)) < 0.25,
                signed=True,
                window=Window((3, 3), padding=(1, 1)),
            ),
            ops.Threshold(
                name="bits", inputs=("inner",), threshold=np.zeros(8, np.int32), flip=rng.random(8) < 0.5, kind=Kind.BIT
            ),
            ops.Flatten(name="flat", inputs=("bits",)),
            ops.BinaryLinear(name="head", inputs=("flat",), weight=rng.random((3, 512)) < 0.5, signed=True),
            ops.Affine(name="logits", inputs=("head",), scale=np.full(3, 0.125, np.float32), shift=None),
        ),
        "logits",
        {"producer": "the tests", "labels": "ant\nbee\ncat"},
    )


@pytest.fixture
def net(graph, tmp_path):
    """The packed network."""
    path = tmp_path / "net.bw"
    write(graph, path)
    return path


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A data set of 8x8 noise, with training and test images of three classes."""
    rng = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("data") / "noise.npz"
    np.savez(
        path,
        train_images=rng.integers(0, 256, (48, 8, 8), dtype=np.uint8),
        train_labels=np.arange(48) % 3,
        test_images=rng.integers(0, 256, (30, 8, 8), dtype=np.uint8),
        test_labels=np.arange(30) % 3,
    )
    return path


@pytest.fixture
def refused():
    """Checks that a call ended as every error of the caller's does: one line, exit code 2, nothing on the output."""

    def check(done, *words):
        lines = done.stderr.strip().splitlines()
        assert done.returncode == 2, done.stderr
        assert done.stdout == ""
        assert len(lines) == 1 and lines[0].startswith("bw: error: "), done.stderr
        for word in words:
            assert str(word) in lines[0]

    return check
