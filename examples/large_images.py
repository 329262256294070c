"""Train, pack and run networks for images of 224x224: a few steps each, to see that they work and what they take.

    python examples/large_images.py resnet18 reactnet_a --source images:DIR

Without a source the images are noise. A few steps teach a network nothing: what is checked is that the packed file
computes what PyTorch computes.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import bitwright as bw
from bitwright.data import load_dataset

SIDE, CLASSES = 224, 1000
NETWORKS = {
    "alexnet": bw.zoo.alexnet,
    "resnet18": lambda: bw.zoo.resnet18(CLASSES, shortcut_every=1, nonlinearity="identity", stem="large", head="plain"),
    "resnet34": bw.zoo.resnet34,
    "resnet50": bw.zoo.resnet50,
    "reactnet18": bw.zoo.reactnet18,
    "reactnet_a": bw.zoo.reactnet_a,
}


def read_images(source: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, C, H, W) uint8 and labels (N,)."""
    if source is None:
        rng = np.random.default_rng(0)
        return rng.integers(0, 256, (16, 3, SIDE, SIDE), np.uint8), rng.integers(0, CLASSES, 16)
    data = load_dataset(source, "train", size=SIDE)
    return data.train_images.transpose(0, 3, 1, 2), data.train_labels


def normalized(pixels: np.ndarray) -> Tensor:
    """What the networks take."""
    return (torch.from_numpy(np.ascontiguousarray(pixels)).float() / 255 - 0.5) / 0.25


def train(net: nn.Module, images: np.ndarray, labels: np.ndarray, steps: int, batch: int) -> float:
    """Some steps of Adam; the last loss."""
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    rng = np.random.default_rng(0)
    loss = torch.zeros(())
    for step in range(steps):
        bw.set_progress(net, step / steps)
        chosen = rng.integers(0, len(images), batch)
        loss = F.cross_entropy(net(normalized(images[chosen])), torch.from_numpy(labels[chosen]))
        optimizer.zero_grad()
        (loss + bw.penalty(net, loss)).backward()
        optimizer.step()
        bw.after_step(net)
    return loss.item()


def main() -> None:
    """Do it for each network named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"by default all of {', '.join(NETWORKS)}")
    parser.add_argument("--method", default="bi_real_net", help="one of bw.methods")
    parser.add_argument("--source", help="KIND:PATH of a data set, such as images:DIR")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4)
    given = parser.parse_args()
    images, labels = read_images(given.source)
    for name in given.networks or NETWORKS:
        torch.manual_seed(0)
        net = bw.binarize(NETWORKS[name](), getattr(bw.methods, given.method)())
        counted = bw.count(net, torch.zeros(1, 3, SIDE, SIDE))
        start = time.perf_counter()
        loss = train(net, images, labels, given.steps, given.batch)
        trained = time.perf_counter() - start
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "net.bw"
            pixels = np.ascontiguousarray(images[:2])
            report = bw.export(net, path, example=torch.from_numpy(pixels), pixels=([0.5] * 3, [0.25] * 3))
            engine = bw.load(path)
            engine(pixels)
            start = time.perf_counter()
            found = engine(pixels[:1])
            ran = time.perf_counter() - start
        with torch.no_grad():
            expected = net.eval()(normalized(images[:1]))
        agree = "the same class" if int(expected.argmax()) == int(found.argmax()) else "ANOTHER CLASS"
        print(
            f"{name}: {counted.binary_weights:,} binary weights, {counted.ops:.3g} OPs; {given.steps} steps in "
            f"{trained:.0f} s, loss {loss:.2f}; {report.bytes:,} bytes, {report.differing} of {report.bits:,} bits "
            f"differ, {1000 * ran:.0f} ms an image, {agree}"
        )


if __name__ == "__main__":
    main()
