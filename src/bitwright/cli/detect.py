"""`bw detect`: image files in, boxes out."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from tyro.conf import Positional, arg

from bitwright.cli.arguments import Json, NetworkFile
from bitwright.cli.boxes import finds_boxes
from bitwright.cli.networks import Network, open_network
from bitwright.cli.output import only_json, print_json, print_table
from bitwright.detection import decode_boxes
from bitwright.errors import BitwrightError


def detect(
    file: NetworkFile,
    images: Annotated[Positional[tuple[Path, ...]], arg(metavar="IMAGE ...", help_behavior_hint="")],
    /,
    *,
    threshold: float = 0.3,
    threads: int = 1,
    json: Json = False,
) -> None:
    """Say what a packed detector finds in image files, and where.

    Each image is scaled to the size that the network takes and its centre cut out, as by bw run. Boxes are left, top,
    right and bottom in pixels of the file.

    Example: bw detect digits.bw scene.png --threshold 0.5

    Args:
        file: The packed detector, exported for pixels.
        images: The image files.
        threshold: The lowest score that is shown, from 0 to 1.
        threads: How many threads run the network.
        json: Print one JSON object instead of a table.
    """
    if not images:
        raise ValueError("no image given. Example: bw detect digits.bw scene.png")
    with only_json(json):
        network = open_network(file, threads=threads)
        if not finds_boxes(network):
            raise BitwrightError(f"{file} is no detector: expected outputs classes0, boxes0, ... Try bw run.")
        results = [{"image": str(path), "boxes": _find(network, path, threshold)} for path in images]
    if json:
        print_json({"results": results})
        return
    rows = [
        [result["image"], found["label"], f"{found['score']:.3f}", ", ".join(f"{x:.1f}" for x in found["box"])]
        for result in results
        for found in result["boxes"]
    ]
    print_table(str(file), ["image", "label", "score", "left, top, right, bottom"], rows, "llrl")


def _find(network: Network, path: Path, threshold: float) -> list[dict[str, Any]]:
    from bitwright.data.images import read_image

    channels, height, width = network.image_shape
    if height != width:
        raise BitwrightError(f"{network.path} takes images of {height}x{width} pixels, expected squares")
    rows, columns = read_image(path, channels).shape[:2]
    pixels = read_image(path, channels, height)
    maps = network.predict_maps(pixels[None], batch=1)
    (found,) = decode_boxes(maps, (height, width), threshold=threshold)
    factor = min(rows, columns) / height
    left, top = (columns - factor * width) / 2, (rows - factor * height) / 2
    boxes = found.boxes * factor + np.array([left, top, left, top])
    names = network.class_names(maps["classes0"].shape[1])
    return [
        {"label": names[c], "score": float(score), "box": [float(x) for x in box]}
        for box, score, c in zip(boxes, found.scores, found.classes, strict=True)
    ]
