"""Time how fast the bits of binary weights are decoded, and checked, when a file is loaded: each encoding on one core.

The weights are noise of the kind that an encoding is for: 3x3 kernels of independent bits, kernels from a set of
equally frequent patterns, and kernels of which some are much more frequent than others. The program that times them is
built by `make build/tools/bench_bit_code`. Rows are added to benchmarks/results/decode.csv.

Example: python benchmarks/decode.py --channels 64 256
"""

import csv
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import tyro

from bitwright.bench.item import Setting
from bitwright.bench.rows import add_rows, environment
from bitwright.format import kernel_set
from bitwright.format.writer import to_bytes
from bitwright.ir import ops
from bitwright.ir.ops import Array, Graph, Kind, TensorType, Window

ROOT = Path(__file__).resolve().parent.parent
SIDE, TAPS = 3, 9
DENSITIES = (0.5, 0.3, 0.1, 0.05, 0.01)
INDEX_BITS = (4, 5, 6)
SKEWS = (1.0, 2.0)  # the kernel of rank r occurs in proportion to r to the minus skew


def main(
    channels: tuple[int, ...] = (64, 256, 512),
    output: Path | None = ROOT / "benchmarks" / "results" / "decode.csv",
    program: Path = ROOT / "build" / "tools" / "bench_bit_code",
) -> None:
    """Print a line for each weight and add a row to the file.

    Args:
        channels: Of the layers, in and out.
        output: The file of the rows; None writes none.
        program: What times the decoding.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for size in channels:
            for name, weight in weights(size).items():
                paths.append(Path(folder) / f"{SIDE}x{SIDE}x{size}x{size} {name}")
                paths[-1].write_bytes(to_bytes(graph_of(weight)))
        printed = subprocess.run([program, *paths], capture_output=True, text=True, check=True).stdout
    where = environment(Setting(1, 1))
    for found in csv.DictReader(printed.splitlines()):
        row = {**where, "item": Path(found.pop("file")).name, **found}
        decoded = f"{row['decoded_mbs']:>5} MB/s decoded, " if row["decoded_mbs"] else ""
        about = f"{row['item']:32} {row['encoding']:9} {float(row['bits_per_weight']):.3f} bits a weight"
        print(f"{about}, {decoded}{row['checked_mbs']:>5} MB/s with all checks")
        if output is not None:
            add_rows(output, [row])


def weights(channels: int) -> dict[str, Array]:
    """Weights of a layer, by what they are.

    Args:
        channels: In and out.
    """
    rng = np.random.default_rng(0)
    shape, kernels = (channels, channels, SIDE, SIDE), channels**2
    made = {f"density {density}": rng.random(shape) < density for density in DENSITIES}
    for width in INDEX_BITS:
        found = rng.choice(1 << TAPS, 1 << width, replace=False)
        indices = rng.permutation(np.resize(np.arange(1 << width), kernels))
        made[f"sub-bit {width}"] = kernel_set.bits_of(found[indices], TAPS).reshape(shape)
    for skew in SKEWS:
        share = np.arange(1.0, (1 << TAPS) + 1) ** -skew
        drawn = rng.choice(rng.permutation(1 << TAPS), kernels, p=share / share.sum())
        made[f"skew {skew:g}"] = kernel_set.bits_of(drawn, TAPS).reshape(shape)
    return made


def graph_of(weight: Array) -> Graph:
    """The least network with this layer.

    Args:
        weight: Shape (out, in, 3, 3), bool.
    """
    out, channels = weight.shape[:2]
    layers = (
        ops.Binarize(name="signs", inputs=("x",), kind=Kind.SIGN, threshold=np.zeros(channels, np.float32)),
        ops.BinaryConv(name="layer", inputs=("signs",), weight=weight, signed=True, window=Window((SIDE, SIDE))),
        ops.Affine(name="y", inputs=("layer",), scale=np.ones(out, np.float32), shift=None),
    )
    return Graph("x", TensorType(Kind.REAL, (channels, SIDE, SIDE)), layers, "y")


if __name__ == "__main__":
    tyro.cli(main)
