"""Memory of a whole network: a Bi-Real ResNet-18 for 224x224 images takes at most 30 MB, weights included."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bitwright.format.writer import write
from bitwright.ir import ops
from bitwright.ir.ops import Graph, Kind, Op, TensorType, Window

MEGABYTE = 1_000_000

# By how much the resident memory of a process grows at most when it loads a file and then runs it; NumPy and the engine
# are there before.
MEASURE = """
import json, sys
import numpy as np
from bitwright.runtime.engine import load

def resident(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field + ":"))

x = np.random.default_rng(0).integers(0, 256, (1, 3, 224, 224)).astype(np.uint8)
before = resident("VmRSS")
engine = load(sys.argv[1])
loaded = resident("VmHWM")
for _ in range(3):
    engine(x)
print(json.dumps({"load": loaded - before, "run": resident("VmHWM") - before}))
"""


class _Network:
    """A residual network in the making, of random parameters: `here` is the real tensor made last."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.ops: list[Op] = []
        self.here = "x"

    def add(self, kind: type[Op], *inputs: str, **fields) -> str:
        self.here = f"{kind.__name__.lower()}.{len(self.ops)}"
        self.ops.append(kind(name=self.here, inputs=inputs, **fields))
        return self.here

    def real(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape).astype(np.float32)

    def norm(self, channels: int) -> str:
        return self.add(ops.Affine, self.here, scale=self.real(channels), shift=self.real(channels))

    def real_conv(self, channels: int, outputs: int, window: Window) -> None:
        weight = self.real(outputs, channels, *window.kernel)
        self.add(ops.Conv, self.here, weight=weight, bias=None, window=window)

    def block(self, channels: int, outputs: int, stride: int) -> None:
        """One binary convolution and the shortcut around it, which averages and mixes channels where shapes change."""
        x = self.here
        bits = self.add(ops.Binarize, x, threshold=np.zeros(channels, np.float32))
        window = Window((3, 3), (stride, stride), (1, 1))
        weight = self.rng.random((outputs, channels, 3, 3)) < 0.5
        self.add(ops.BinaryConv, bits, weight=weight, signed=True, window=window)
        y = self.norm(outputs)
        if stride > 1:
            self.here = self.add(ops.AvgPool, x, window=Window((2, 2), (2, 2)))
            self.real_conv(channels, outputs, Window((1, 1)))
            x = self.norm(outputs)
        self.add(ops.Add, y, x)


def bi_real_resnet18() -> Graph:
    """ResNet-18 for ImageNet with a shortcut around each binary convolution, and random weights: pixels to logits."""
    net = _Network()
    net.norm(3)
    net.real_conv(3, 64, Window((7, 7), (2, 2), (3, 3)))
    net.norm(64)
    net.add(ops.MaxPool, net.here, window=Window((3, 3), (2, 2), (1, 1)))
    channels = 64
    for stage, outputs in enumerate((64, 128, 256, 512)):
        for index in range(4):
            net.block(channels, outputs, 2 if stage and not index else 1)
            channels = outputs
    net.add(ops.Mean, net.here)
    net.add(ops.Flatten, net.here)
    net.add(ops.Linear, net.here, weight=net.real(1000, 512), bias=net.real(1000))
    return Graph("x", TensorType(Kind.PIXEL, (3, 224, 224)), tuple(net.ops), net.here)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell a process's memory")
def test_a_resnet18_for_imagenet_takes_at_most_30_megabytes(tmp_path):
    size = write(bi_real_resnet18(), tmp_path / "net.bw")
    assert 4 * MEGABYTE < size < 5 * MEGABYTE
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "net.bw")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    growth = json.loads(done.stdout)
    assert size < growth["load"] <= growth["run"] <= 30 * MEGABYTE, growth
