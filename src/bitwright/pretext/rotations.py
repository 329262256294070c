"""RotNet's pretext task: which way up is the image?"""

import torch
from torch import Tensor

TURNS = ("0 degrees", "90 degrees", "180 degrees", "270 degrees")


def four_rotations(images: Tensor) -> tuple[Tensor, Tensor]:
    """Each image turned by 0, 90, 180 and 270 degrees counter-clockwise, and how many quarters that is.

    Shape:
        images (N, H, W, C), H = W; results (4 N, H, W, C), all images of one turn after those of another, and (4 N,)
        int64.

    Args:
        images: the batch.

    Raises:
        ValueError: the images are not square.

    Reference: Gidaris, Singh and Komodakis, "Unsupervised Representation Learning by Predicting Image Rotations", ICLR
    2018.
    """
    height, width = images.shape[1:3]
    if height != width:
        raise ValueError(f"images: expected squares, which a quarter turn maps to themselves, found {height}x{width}")
    turned = torch.cat([torch.rot90(images, quarters, (1, 2)) for quarters in range(4)])
    return turned, torch.arange(4, device=images.device).repeat_interleave(len(images))
