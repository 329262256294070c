"""`bw eval`: accuracy of a packed file on a data set, and its agreement with the network it was made from."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from tyro.conf import Positional, arg

from bitwright.cli.arguments import Folder, Json, NetworkFile
from bitwright.cli.boxes import finds_boxes, judge_boxes
from bitwright.cli.networks import EngineName, Network, labelled_images, open_network
from bitwright.cli.output import count, need, only_json, percent, print_json, print_table
from bitwright.errors import DataError
from bitwright.ir.parts import parts_of_graph
from bitwright.ir.rules import apply_rules
from bitwright.report.summary import summarize


def evaluate(
    file: NetworkFile,
    data: Annotated[Positional[str], arg(metavar="KIND:PATH")],
    /,
    *,
    run: Folder = None,
    split: Literal["test", "train"] = "test",
    threads: int = 1,
    batch: int = 100,
    engine: EngineName = "native",
    json: Json = False,
) -> None:
    """Measure the accuracy of a packed file on a data set; of a detector, average precision on scenes made of it.

    With --json, and of the file: the bits that a binary weight takes, and `counted`, what `bw inspect --rules` shows.

    Data sets: cifar10:DIR, cifar100:DIR, mnist:DIR, npz:FILE, images:DIR.

    Example: bw eval net.bw cifar10:data --threads 2

    Args:
        file: The packed network, exported for pixels.
        data: The data set, KIND:PATH.
        run: A run folder: compare each prediction with that of the trained network in it (needs PyTorch). A detector
            needs it, as the recipe in it says what scenes are like.
        split: Which part of the data set.
        threads: How many threads run the network.
        batch: Images in one call.
        engine: The native engine, or the slow one in NumPy that says the same.
        json: Print one JSON object instead of a table.
    """
    if batch < 1:
        raise ValueError(f"--batch must be at least 1, found {batch}")
    if run is not None:
        need("torch", "train", "bw eval --run")
    with only_json(json):
        network = open_network(file, threads=threads, engine=engine)
        judge = judge_boxes if finds_boxes(network) else _judge_classes
        settings = {"bytes": file.stat().st_size, "threads": threads, "batch": batch, "engine": engine}
        result = judge(network, data, split, run, batch) | settings
    if json:
        size = summarize(network.graph, result["bytes"]).totals
        counted = asdict(apply_rules(parts_of_graph(network.graph)))
        print_json({**result, "bits_per_weight": size.bits_per_weight, "counted": counted})
    else:
        _show(f"{file} on {data} ({split})", result)


def _judge_classes(network: Network, data: str, split: str, run: Path | None, batch: int) -> dict[str, Any]:
    images, labels = labelled_images(data, split, network)
    start = time.perf_counter()
    logits = network.predict(images, batch)
    seconds = time.perf_counter() - start
    result = {
        "accuracy": float((logits.argmax(1) == labels).mean()),
        "images": len(images),
        "images_per_s": len(images) / seconds,
    }
    if run is not None:
        result["trained"] = compare(_trained_logits(run, images, logits.shape[1]), logits, labels)
    return result


def compare(trained: np.ndarray, packed: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Where two networks predict differently, and how close the trained one was to the other answer.

    The margin of a differing image is the trained network's logit of its own prediction, less that of the packed one's.

    Shape:
        trained, packed: (N, classes); labels: (N,).

    Args:
        trained: Logits of the trained network.
        packed: Logits of the packed file.
        labels: The truth.
    """
    before, after = trained.argmax(1), packed.argmax(1)
    differing = [
        {
            "index": int(i),
            "label": int(labels[i]),
            "trained": int(before[i]),
            "packed": int(after[i]),
            "margin": float(trained[i, before[i]] - trained[i, after[i]]),
        }
        for i in np.flatnonzero(before != after)
    ]
    return {
        "accuracy": float((before == labels).mean()),
        "agreeing": int((before == after).sum()),
        "largest_difference": float(np.abs(trained - packed).max()),
        "differing": differing,
    }


def _trained_logits(run: Path, images: np.ndarray, classes: int) -> np.ndarray:
    """Logits of the network in a run folder, (N, classes)."""
    from bitwright.train import load_model, predict

    model = load_model(run)
    found, expected = (*model.shape, len(model.label_names)), (*images.shape[1:], classes)
    if found != expected:
        raise DataError(
            f"{run}: its network was trained for (height, width, channels, classes) = {found}, the packed file is for "
            f"{expected}; name the run that the file was exported from."
        )
    return predict(model.net, images, model.recipe.data)


def _show(title: str, result: dict[str, Any]) -> None:
    figure = result.get("figure", "accuracy")
    rows = [
        [f"{figure} of the packed file", percent(result["accuracy"])],
        ["images", count(result["images"])],
        ["images a second", count(result["images_per_s"])],
    ]
    trained = result.get("trained", {})
    if trained:
        rows.append([f"{figure} of the trained network", percent(trained["accuracy"])])
        if "agreeing" in trained:
            rows.append(["predictions that agree", f"{count(trained['agreeing'])} of {count(result['images'])}"])
        rows.append(["largest difference of an output", f"{trained['largest_difference']:.3g}"])
    print_table(title, ["", ""], rows)
    if trained.get("differing"):
        columns = ["image", "label", "trained", "packed", "margin"]
        cells = [[str(d[key]) for key in columns[1:4]] + [f"{d['margin']:.3g}"] for d in trained["differing"]]
        rows = [[str(d["index"]), *cell] for d, cell in zip(trained["differing"], cells, strict=True)]
        print_table("predictions that differ", columns, rows, "rrrrr")
