"""`bw demo`: the whole way on real digits, made of the same pieces that a user has, and a page that shows it."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bitwright.bench.peers.pytorch import torch_call
from bitwright.cli.arguments import Folder, Json
from bitwright.cli.evaluate import compare
from bitwright.cli.export import EXAMPLES, export_model, spread
from bitwright.cli.networks import Network, open_network
from bitwright.cli.output import count, milliseconds, need, only_json, percent, print_json, print_table
from bitwright.cli.train import fresh_folder
from bitwright.report.page import Page, Sample, Size, write_page
from bitwright.report.timing import Timing, alternate, describe_machine

if TYPE_CHECKING:
    from bitwright.data import DataSet
    from bitwright.train import RunResult, TrainedModel

PACKED, FLOAT, TRAINED = "packed file, bitwright", "float32 twin, PyTorch", "trained network, PyTorch"


@dataclass(frozen=True, eq=False)
class Findings:
    """What the demo came to.

    Args:
        folder: Where everything lies.
        run: The training run.
        agreement: As `compare` gives it.
        logits: Of the packed file on the test images, (N, classes).
        accuracy: Of the packed file.
        bytes: Of the packed file.
        checkpoint_bytes: Of model.safetensors, which holds float32 weights.
        timings: One image a call on one thread, by what ran.
    """

    folder: Path
    run: "RunResult"
    agreement: dict[str, Any]
    logits: np.ndarray
    accuracy: float
    bytes: int
    checkpoint_bytes: int
    timings: dict[str, Timing]


def demo(*, run_dir: Folder = None, seed: int = 0, json: Json = False) -> None:
    """Train, pack and run a sparse binary network on 5,000 real digits, and draw a page of results.

    The run folder then holds the digits (digits.npz), the training run (training/), the packed file (digits.bw) and
    the page (report.html).

    Example: bw demo --run-dir runs/first

    Args:
        run_dir: The folder to write, new or empty; by default a new one in runs/.
        seed: Decides the split of the digits, the initial weights and the order of training.
        json: Print one JSON object instead of a table, and everything else on the standard error stream.
    """
    for package in ("torch", "pytorch_lightning", "safetensors", "mlxtend", "plotly"):
        need(package, "demo", "bw demo")
    folder = run_dir or fresh_folder(Path("runs"), "demo")
    with only_json(json):
        found, page = _run(folder, seed)
    if json:
        print_json(_as_json(found, page))
        return
    print_table("Digits: trained, packed, run", ["", ""], [list(row) for row in _facts(found)])
    layers = [[name, percent(density)] for name, density in found.run.layers.items()]
    print_table("Density", ["layer", "effective connections"], layers)
    print(f"packed file: {found.folder / 'digits.bw'}")
    print(f"report: {page.resolve()}")


def _run(folder: Path, seed: int) -> tuple[Findings, Path]:
    from bitwright.data.digits import load_digits
    from bitwright.data.sets import save_npz
    from bitwright.train import DEMO, load_model, predict, read_recipe, train
    from bitwright.train.folder import prepare_folder

    prepare_folder(folder, resume=False)
    digits = load_digits(seed)
    save_npz(digits, folder / "digits.npz")
    recipe = read_recipe(DEMO, overrides=(f"data.source=npz:{folder / 'digits.npz'}", f"seed={seed}"))
    print(f"training on {len(digits.train_images):,} digits, {recipe.epochs} epochs, in {folder}", flush=True)
    run = train(recipe, folder / "training")
    print("packing, and comparing the packed file with the trained network", flush=True)
    model = load_model(run.folder)
    packed = export_model(model, folder / "digits.bw", spread(digits.test_images, EXAMPLES))
    network = open_network(packed.path)
    logits = network.predict(digits.test_images, batch=100)
    trained = predict(model.net, digits.test_images, model.recipe.data)
    print("timing it against PyTorch", flush=True)
    found = Findings(
        folder=folder,
        run=run,
        agreement=compare(trained, logits, digits.test_labels),
        logits=logits,
        accuracy=float((logits.argmax(1) == digits.test_labels).mean()),
        bytes=packed.bytes,
        checkpoint_bytes=run.model.stat().st_size,
        timings=_time(network, model, digits.test_images[:1]),
    )
    return found, write_page(folder / "report.html", _page(found, digits))


def _time(network: Network, model: "TrainedModel", image: np.ndarray) -> dict[str, Timing]:
    """One image a call and one thread for each: the packed file, its float32 twin, and the trained network itself."""
    import torch

    from bitwright.train.batches import Normalize

    threads = torch.get_num_threads()
    pixels = np.ascontiguousarray(image.transpose(0, 3, 1, 2))
    x = Normalize(model.recipe.data, torch.device("cpu"))(torch.from_numpy(image))

    def run_trained() -> object:
        with torch.inference_mode():
            return model.net(x)

    calls: dict[str, Callable[[], object]] = {
        PACKED: lambda: network.run(pixels),
        FLOAT: torch_call(network.graph, pixels, threads=1),
        TRAINED: run_trained,
    }
    try:
        return alternate(calls, runs=50)
    finally:
        torch.set_num_threads(threads)


def _facts(found: Findings) -> list[tuple[str, str]]:
    images = found.run.images
    times = [(f"time an image, {name}", milliseconds(timing.median_ms)) for name, timing in found.timings.items()]
    ratio = found.timings[FLOAT].median_ms / found.timings[PACKED].median_ms
    return [
        ("accuracy of the trained network", percent(found.agreement["accuracy"])),
        ("accuracy of the packed file", percent(found.accuracy)),
        ("predictions that agree", f"{count(found.agreement['agreeing'])} of {count(images)}"),
        ("density of the binary layers", percent(found.run.density)),
        ("bytes of the float32 checkpoint", count(found.checkpoint_bytes)),
        ("bytes of the packed file", count(found.bytes)),
        ("times smaller", f"{found.checkpoint_bytes / found.bytes:.1f}"),
        *times,
        ("times faster than PyTorch float32", f"{ratio:.1f}"),
        ("training time", f"{count(found.run.seconds)} s"),
    ]


def _page(found: Findings, digits: "DataSet") -> Page:
    with (found.run.folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    def line(key: str, factor: float = 1.0) -> list[tuple[float, float]]:
        return [(int(row["epoch"]) + 1, factor * float(row[key])) for row in rows]

    return Page(
        title="A sparse binary network on 5,000 digits",
        introduction=(
            "Trained in PyTorch, packed into one file and run by the native engine on "
            f"{describe_machine().cpu}, one image a call on one thread. The float32 twin is the network of the same "
            "shapes with ordinary convolutions, in the same process, measured in turn."
        ),
        facts=_facts(found),
        curves={
            "Loss": {"training": line("train_loss"), "test": line("loss")},
            "Accuracy, %": {"training": line("train_accuracy", 100), "test": line("accuracy", 100)},
            "Density while training, %": {"all binary layers": line("density", 100)},
        },
        sizes=[
            Size("float32 checkpoint", found.checkpoint_bytes, found.agreement["accuracy"]),
            Size("packed file", found.bytes, found.accuracy),
        ],
        density=found.run.layers,
        latency={name: timing.median_ms for name, timing in found.timings.items()},
        samples=_samples(found.logits.argmax(1), digits),
    )


def _samples(predictions: np.ndarray, digits: "DataSet", most: int = 24) -> list[Sample]:
    """Some digits with what the packed file saw, a quarter of them mistakes if there are as many."""
    hits = predictions == digits.test_labels
    wrong = spread(np.flatnonzero(~hits), max(most // 4, most - int(hits.sum())))
    right = spread(np.flatnonzero(hits), most - len(wrong))
    names, labels = digits.label_names, digits.test_labels
    return [Sample(digits.test_images[i, :, :, 0], names[labels[i]], names[predictions[i]]) for i in (*right, *wrong)]


def _as_json(found: Findings, page: Path) -> dict[str, Any]:
    return {
        "accuracy": found.accuracy,
        "trained_accuracy": found.agreement["accuracy"],
        "images": found.run.images,
        "agreeing": found.agreement["agreeing"],
        "differing": found.agreement["differing"],
        "density": found.run.density,
        "layers": found.run.layers,
        "bytes": found.bytes,
        "checkpoint_bytes": found.checkpoint_bytes,
        "ms_per_image": {
            "bitwright": found.timings[PACKED].median_ms,
            "torch": found.timings[FLOAT].median_ms,
            "trained": found.timings[TRAINED].median_ms,
        },
        "training_s": found.run.seconds,
        "file": str(found.folder / "digits.bw"),
        "report": str(page.resolve()),
    }
