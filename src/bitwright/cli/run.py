"""`bw run`: image files in, labels and scores out."""

from pathlib import Path
from typing import Annotated

import numpy as np
from tyro.conf import Positional, arg

from bitwright.cli.arguments import Json, NetworkFile
from bitwright.cli.networks import open_network
from bitwright.cli.output import only_json, print_json, print_table


def run(
    file: NetworkFile,
    images: Annotated[Positional[tuple[Path, ...]], arg(metavar="IMAGE ...", help_behavior_hint="")],
    /,
    *,
    top: int = 3,
    threads: int = 1,
    json: Json = False,
) -> None:
    """Say what is in image files.

    Each image is scaled to the size that the network takes, its centre cut out, and made grey or coloured as the
    network wants it. Scores are logits.

    Example: bw run net.bw cat.jpg dog.png --top 1

    Args:
        file: The packed network, exported for pixels.
        images: The image files.
        top: How many of the highest scores to show for each.
        threads: How many threads run the network.
        json: Print one JSON object instead of a table.
    """
    if not images:
        raise ValueError("no image given. Example: bw run net.bw cat.jpg dog.png")
    if top < 1:
        raise ValueError(f"--top must be at least 1, found {top}")
    with only_json(json):
        network = open_network(file, threads=threads)
        channels, height, width = network.image_shape
        results = []
        for path in images:
            logits = network.predict(read_pixels(path, height, width, channels)[None], batch=1)[0]
            names = network.class_names(len(logits))
            best = np.argsort(-logits, kind="stable")[:top]
            ranked = [{"label": names[i], "score": float(logits[i])} for i in best]
            results.append({"image": str(path), "label": ranked[0]["label"], "scores": ranked})
    if json:
        print_json({"results": results})
        return
    rows = [[result["image"], *_ranking(result["scores"])] for result in results]
    print_table(str(file), ["image", "label", "highest scores"], rows, "lll")


def read_pixels(path: Path, height: int, width: int, channels: int) -> np.ndarray:
    """Read an image file in the size that a network takes; what sticks out on the longer side is cut off.

    Shape:
        output: (height, width, channels) uint8.

    Args:
        path: Any image file that Pillow reads.
        height: Of the network's input.
        width: Of the network's input.
        channels: 1 for grey, 3 for red, green, blue.

    Raises:
        DataError: If it is no image.
    """
    from bitwright.data.images import read_image

    side = max(height, width)
    pixels = read_image(path, channels, side)
    top, left = (side - height) // 2, (side - width) // 2
    return pixels[top : top + height, left : left + width]


def _ranking(scores: list[dict]) -> list[str]:
    return [scores[0]["label"], ", ".join(f"{score['label']} {score['score']:.3f}" for score in scores)]
