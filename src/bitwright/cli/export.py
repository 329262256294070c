"""`bw export`: a run folder in, one packed file out."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from tyro.conf import Positional, arg

from bitwright.cli.arguments import Json
from bitwright.cli.output import need, only_json, print_json
from bitwright.errors import DataError

if TYPE_CHECKING:
    from bitwright.lower import ExportReport
    from bitwright.train import TrainedModel

EXAMPLES = 32  # images on which the file is compared with torch


def export(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    /,
    *,
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="FILE.bw", help_behavior_hint="")] = None,
    stream: Literal["float32", "int16"] = "float32",
    first_layer: Literal["float32", "int16"] = "float32",
    real_weights: Literal["float32", "int8"] = "float32",
    json: Json = False,
) -> None:
    """Pack the trained network of a run folder into one file, and compare the two.

    The file takes uint8 pixels and holds the names of the classes. The comparison uses images of the run's own data
    set, or noise where that is not at hand any more.

    Example: bw export runs/cifar10-resnet20-95 -o net.bw

    Args:
        run: The run folder, or a model.safetensors of one.
        output: The file to write; by default model.bw in the run folder.
        stream: How shortcuts carry real values: float32, as trained, or int16, rounded and faster.
        first_layer: How the first convolution computes: float32, as trained, or int16, rounded and faster.
        real_weights: How the file holds the weights of real layers: float32, as trained, or int8, rounded and smaller.
        json: Print one JSON object instead of a few lines.
    """
    for package in ("torch", "safetensors"):
        need(package, "train", "bw export")
    from bitwright.train import load_model

    with only_json(json):
        model = load_model(run)
        folder = run if run.is_dir() else run.parent
        to = output or folder / "model.bw"
        report = export_model(model, to, example_images(model), stream, first_layer, real_weights)
    if json:
        found = asdict(report.comparison)
        for name in ("stream", "first_layer", "real_weights"):
            changes = getattr(report, name)
            found[name] = changes and asdict(changes)
        print_json({"path": report.path, "bytes": report.bytes, "images": report.images, **found})
    else:
        print(report)


def export_model(
    model: "TrainedModel",
    path: Path,
    images: np.ndarray,
    stream: Literal["float32", "int16"] = "float32",
    first_layer: Literal["float32", "int16"] = "float32",
    real_weights: Literal["float32", "int8"] = "float32",
) -> "ExportReport":
    """Pack a trained network so that the file takes pixels and names its classes.

    Shape:
        images: (N, H, W, C) uint8.

    Args:
        model: The network with its recipe.
        path: The file to write.
        images: What the file is compared with torch on.
        stream: As for `bitwright.export`.
        first_layer: Likewise.
        real_weights: Likewise.

    Raises:
        LoweringError: If the network has no place in a graph.
        OSError: If the file cannot be written.
    """
    import torch

    from bitwright.lower import export as lower_and_write

    example = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    pixels = (model.recipe.data.mean, model.recipe.data.std)
    return lower_and_write(
        model.net,
        path,
        example,
        pixels=pixels,
        labels=model.label_names,
        stream=stream,
        first_layer=first_layer,
        real_weights=real_weights,
    )


def spread(items: np.ndarray, most: int) -> np.ndarray:
    """At most so many items, evenly spaced: data sets are often sorted by class.

    Shape:
        items: (N, ...); output: (min(N, most), ...).

    Args:
        items: What to choose from.
        most: How many to take.
    """
    return items[np.linspace(0, len(items) - 1, min(len(items), most)).astype(int)]


def example_images(model: "TrainedModel") -> np.ndarray:
    """Test images of the data set that a network was trained on, or scenes of them; noise where there are none.

    Shape:
        output: (N, H, W, C) uint8.

    Args:
        model: The network with its recipe.
    """
    from bitwright.data import load_dataset
    from bitwright.train.detection import as_scenes

    data = model.recipe.data
    try:
        found = as_scenes(model.recipe.detection, load_dataset(data.source, "test", size=data.size or None))
        images = spread(found.test_images, EXAMPLES)
    except DataError:
        images = np.empty((0, *model.shape), np.uint8)
    if len(images) and images.shape[1:] == model.shape:
        return images
    return np.random.default_rng(0).integers(0, 256, (EXAMPLES, *model.shape), dtype=np.uint8)
