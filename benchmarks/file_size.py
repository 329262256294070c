"""Count the bytes of a network's file at several densities, with float32 and with int8 real weights.

The bits of binary weights are random, each 1 with a probability of the density: the least favourable order. Sizes do
not depend on the machine, so benchmarks/results/file_size.csv is written anew.

Example: python benchmarks/file_size.py --networks resnet20 --densities 0.05
"""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

import bitwright as bw
from bitwright.ir import ops
from bitwright.ir.ops import Graph
from bitwright.lower import lower
from bitwright.lower.real_weights import round_real_weights
from bitwright.report.summary import summarize

RESULTS = Path(__file__).resolve().parent / "results"
PARTS = ("binary_weights", "binary_weight_bytes", "real_weights", "real_weight_bytes", "parameter_bytes", "table_bytes")


def main(
    networks: tuple[str, ...] = ("vgg_small", "resnet20"),
    densities: tuple[float, ...] = (0.5, 0.25, 0.1, 0.05, 0.02, 0.01, 0.005),
    output: Path | None = RESULTS / "file_size.csv",
) -> None:
    """Print a line for each file, and write a row for it.

    Args:
        networks: Names in `bw.zoo`, of networks for 32x32 pixels and ten classes.
        densities: Shares of the bits that are 1.
        output: The file of the rows; None writes none.
    """
    rows = [row for network in networks for row in _rows(network, densities)]
    for row in rows:
        print(
            f"{row['network']:12} {row['density']:<6} {row['real_layers']:8} {row['bytes']:11,} bytes, "
            f"1/{row['ratio']} of float32; {row['bits_per_binary_weight']} bits a binary weight"
        )
    if output is not None:
        with output.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def _rows(network: str, densities: tuple[float, ...]) -> Iterator[dict[str, Any]]:
    torch.manual_seed(0)
    plain = getattr(bw.zoo, network)()
    float_bytes = sum(tensor.nbytes for tensor in plain.state_dict().values())
    example = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    net = bw.binarize(plain, bw.methods.sbnn())
    exact = lower(net, example, pixels=((0.5,) * 3, (0.25,) * 3), labels=[f"class {i}" for i in range(10)])
    for real_layers, graph in (("float32", exact), ("int8", round_real_weights(exact, example.numpy())[0])):
        for density in densities:
            totals = summarize(_with_random_bits(graph, density)).totals
            yield {
                "network": network,
                "density": density,
                "real_layers": real_layers,
                "float32_bytes": float_bytes,
                "bytes": totals.bytes,
                "ratio": round(float_bytes / totals.bytes, 1),
                "bits_per_binary_weight": round(8 * totals.binary_weight_bytes / totals.binary_weights, 4),
                **{part: getattr(totals, part) for part in PARTS},
            }


def _with_random_bits(graph: Graph, density: float) -> Graph:
    rng = np.random.default_rng(0)
    changed = (
        replace(op, weight=rng.random(op.weight.shape) < density)
        if isinstance(op, ops.BinaryConv | ops.BinaryLinear)
        else op
        for op in graph.ops
    )
    return replace(graph, ops=tuple(changed))


if __name__ == "__main__":
    tyro.cli(main)
