"""What a detector should say, and its loss: which cell stands for which box, focal loss, and loss of overlap."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from bitwright.detection.cells import FARTHEST, cell_grid, level_names

RADIUS = 1.5  # strides around a box's centre: of three cells by three
REACH = 4.0  # strides from its centre to its sides: larger boxes are the next level's


def assign_cells(boxes: Tensor, labels: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """Which box each cell stands for.

    A box belongs to the first level whose stride s gives half its longer side <= 4 s, or else to the last one. There
    a cell stands for it if its centre lies inside the box and less than 1.5 s from the box's centre, in x and in y. Of
    several boxes the smallest takes it. A box of at least s by s has such a cell, if no smaller one takes it.

    Shape:
        boxes (N, B, 4), labels (N, B), centres (A, 2), strides (A,); result (N, A) int64.

    Args:
        boxes: In pixels.
        labels: Their classes, -1 where there is no box.
        centres: Of the cells, from `cells.cell_grid`; strides grow from level to level.
        strides: Theirs.

    Returns:
        Position of the box for each cell, -1 for none.

    Reference: Tian et al., "FCOS", ICCV 2019, section 3.2, with the centre sampling of its later version.
    """
    if not boxes.shape[1]:
        return torch.full((len(boxes), len(centres)), -1, device=boxes.device)
    corners, sides = boxes[:, :, None], boxes[..., 2:] - boxes[..., :2]  # (N, B, 1, 4), (N, B, 2)
    distances = torch.cat([centres - corners[..., :2], corners[..., 2:] - centres], -1)  # (N, B, A, 4)
    offset = (centres - (corners[..., :2] + corners[..., 2:]) / 2).abs().amax(-1)
    levels = strides.unique()
    fits = sides.amax(-1, keepdim=True) / 2 <= REACH * levels  # (N, B, levels)
    fits[..., -1] = True
    own = levels[fits.int().argmax(-1)][..., None]  # (N, B, 1), the first that fits
    stands = (distances.amin(-1) > 0) & (offset < RADIUS * strides) & (strides == own) & (labels >= 0)[..., None]
    area = sides.prod(-1, keepdim=True).expand(stands.shape).masked_fill(~stands, torch.inf)  # (N, B, A)
    smallest, which = area.min(1)
    return which.masked_fill(smallest.isinf(), -1)


def focal_loss(logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Cross-entropy of each logit by itself, of which those count little that are right already; the sum.

    With p = sigmoid(logit), and q = p where the target is 1 and 1 - p where it is 0: -a (1 - q)^gamma log q, where
    a = alpha for targets of 1 and 1 - alpha for those of 0.

    Shape:
        logits and targets of one shape; result ().

    Args:
        logits: Any number.
        targets: 0 or 1 for each.
        alpha: Weight of the ones.
        gamma: How little the right ones count; 0 for all alike.

    Reference: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, eq. 5.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")  # -log q
    right = torch.exp(-entropy)
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return (weight * (1 - right) ** gamma * entropy).sum()


def overlap_loss(boxes: Tensor, targets: Tensor) -> Tensor:
    """1 - GIoU of each pair of boxes: GIoU = |A and B| / |A or B| - (|C| - |A or B|) / |C|, C the smallest box around.

    Shape:
        boxes and targets (n, 4), none of them empty; result (n,), from 0 to 2.

    Args:
        boxes: What the network says.
        targets: What it should say.

    Reference: Rezatofighi et al., "Generalized Intersection over Union", CVPR 2019.
    """
    low, high = torch.maximum(boxes, targets), torch.minimum(boxes, targets)
    common = (high[:, 2:] - low[:, :2]).clamp(min=0).prod(1)
    around = (low[:, 2:] - high[:, :2]).prod(1)
    whole = sum((each[:, 2:] - each[:, :2]).prod(1) for each in (boxes, targets)) - common
    return 2 - common / whole - whole / around


def detection_loss(outputs: Mapping[str, Tensor], boxes: Tensor, labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Focal loss of all cells' logits plus the loss of overlap of those that stand for a box, over the number of these.

    Shape:
        outputs for each level (N, classes, H, W) and (N, 4, H, W); boxes (N, B, 4), labels (N, B); result ().

    Args:
        outputs: Of a `Detector`.
        boxes: In pixels.
        labels: Their classes, -1 where there is no box.
        size: Height and width of the images.

    Raises:
        ValueError: The outputs are not a detector's, or the maps do not divide the image.
    """
    levels = level_names(outputs)
    logits, distances = (torch.cat([_rows(outputs[level[part]]) for level in levels], 1) for part in (0, 1))
    sides = [(outputs[classes].shape[2], outputs[classes].shape[3]) for classes, _ in levels]
    centres, strides = (torch.from_numpy(part).to(logits.device) for part in cell_grid(sides, size))
    owners = assign_cells(boxes, labels, centres, strides)
    image, cell = (owners >= 0).nonzero(as_tuple=True)
    box = owners[image, cell]
    targets = torch.zeros_like(logits)
    targets[image, cell, labels[image, box]] = 1
    reach = distances[image, cell].clamp(max=FARTHEST).exp() * strides[cell, None]
    found = torch.cat([centres[cell] - reach[:, :2], centres[cell] + reach[:, 2:]], 1)
    return (focal_loss(logits, targets) + overlap_loss(found, boxes[image, box]).sum()) / max(len(cell), 1)


def _rows(maps: Tensor) -> Tensor:
    """(N, K, H, W) as (N, H W, K), float32."""
    return maps.flatten(2).transpose(1, 2).float()
