"""Whole networks, one image a call on one thread: the packed file against PyTorch float32 of the same shapes.

The networks are untrained, which changes no time: "dense" has weights of -1 and +1 (bi_real_net), "95 %" a general
domain with 5 % of the weights at the rarer level in every layer (sbnn). Both sides take turns in one process; the peer
is `float_twin` in the faster of its two memory layouts.

Example: python benchmarks/networks.py --networks resnet20
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
import tyro
from conv_layer import ROOT, add_rows, environment

import bitwright as bw
from bitwright.cli.bench import torch_call
from bitwright.format.reader import read
from bitwright.report.timing import alternate


def pack(network: str, sparse: bool, path: Path) -> None:
    """Export a network with random weights.

    Args:
        network: A name in `bitwright.zoo`.
        sparse: Whether to thin the weights out to 5 %.
        path: Where to write.
    """
    net = getattr(bw.zoo, network)()
    bw.binarize(net, bw.methods.sbnn(sparsity=0.95) if sparse else bw.methods.bi_real_net())
    with torch.no_grad():
        for layer in net.modules():
            if sparse and hasattr(layer, "weight_binarizer"):
                layer.weight -= torch.tensor(np.quantile(layer.weight.numpy(), 0.95), dtype=torch.float32)
    bw.export(net, path, example=torch.randn(2, 3, 32, 32))


def main(
    networks: tuple[str, ...] = ("resnet20", "vgg_small", "resnet18"),
    runs: int = 200,
    output: Path = ROOT / "benchmarks" / "results" / "networks.csv",
) -> None:
    """Time packed networks against PyTorch float32 on one thread, and add rows to a CSV file.

    Args:
        networks: Names in `bitwright.zoo`.
        runs: Measurements of each side.
        output: The file to add rows to.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = np.random.default_rng(0).standard_normal((1, 3, 32, 32), np.float32)
    rows = []
    for network in networks:
        for weights in ("dense", "95 %"):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "net.bw"
                pack(network, weights != "dense", path)
                engine, size = bw.load(path), path.stat().st_size
                peer = torch_call(read(path), x, threads=1)
            times = alternate({"bitwright": lambda engine=engine: engine(x), "torch": peer}, runs=runs)
            found = {
                "isa": engine.isa,
                "network": network,
                "weights": weights,
                "bytes": size,
                "runs": runs,
                **{f"{side}_median_ms": round(time.median_ms, 4) for side, time in times.items()},
                **{f"{side}_min_ms": round(time.min_ms, 4) for side, time in times.items()},
                "ratio": round(times["torch"].median_ms / times["bitwright"].median_ms, 2),
            }
            rows.append({**environment(), **found})
            print(", ".join(f"{key} {value}" for key, value in found.items()), flush=True)
    add_rows(output, rows)
    print(output)


if __name__ == "__main__":
    tyro.cli(main)
