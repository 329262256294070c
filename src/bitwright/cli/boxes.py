"""Packed detectors as `bw eval` sees them: average precision on the scenes of a run, and torch's on the same."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from bitwright.cli.networks import Network
from bitwright.detection import decode_boxes, mean_precision
from bitwright.detection.cells import level_names
from bitwright.detection.precision import COCO
from bitwright.errors import DataError
from bitwright.format.outputs import KEY as OUTPUTS


def finds_boxes(network: Network) -> bool:
    """Whether a packed file is a detector: its outputs have a detector's names.

    Args:
        network: The file.
    """
    try:
        level_names(line.rpartition(" ")[0] for line in network.graph.meta.get(OUTPUTS, "").split("\n"))
    except ValueError:
        return False
    return True


def judge_boxes(network: Network, data: str, split: str, run: Path | None, batch: int) -> dict[str, Any]:
    """Mean average precision of the packed file and of the network in a run folder, on the same scenes.

    Args:
        network: The file.
        data: The data set that scenes are made of, KIND:PATH.
        split: "train" or "test".
        run: The run folder, whose recipe says what scenes are like.
        batch: Images in one call.

    Raises:
        DataError: If there is no run, it trained no such detector, or the data set is missing.
    """
    if run is None:
        raise DataError(
            f"{network.path} finds boxes: say by --run RUN what the scenes are like that it was trained on."
        )
    from bitwright.data import load_dataset
    from bitwright.train import load_model, predict
    from bitwright.train.detection import as_scenes

    model = load_model(run)
    settings = model.recipe.detection
    channels, *size = network.image_shape
    if not settings.size or model.shape != (*size, channels):
        found = f"{settings.size}x{settings.size}x{model.shape[2]}" if settings.size else "no scenes"
        raise DataError(
            f"{run}: its network was trained on {found}, the packed file takes {size[0]}x{size[1]}x{channels} (height, "
            "width, channels); name the run that the file was exported from."
        )
    made = as_scenes(settings, load_dataset(data, split, size=model.recipe.data.size or None))
    images, rows = (made.train_images, made.train_labels) if split == "train" else (made.test_images, made.test_labels)
    start = time.perf_counter()
    packed = network.predict_maps(images, batch)
    seconds = time.perf_counter() - start
    trained = predict(model.net, images, model.recipe.data)
    truth = rows[..., :4], rows[..., 4].astype(np.int64)
    found, wanted = (decode_boxes(maps, (size[0], size[1])) for maps in (packed, trained))
    return {
        "accuracy": mean_precision(found, *truth),
        "figure": "mean AP at IoU 0.5",
        "coco": mean_precision(found, *truth, COCO),
        "images": len(images),
        "images_per_s": len(images) / seconds,
        "trained": {
            "accuracy": mean_precision(wanted, *truth),
            "coco": mean_precision(wanted, *truth, COCO),
            "largest_difference": max(float(np.abs(packed[name] - trained[name]).max()) for name in packed),
        },
    }
