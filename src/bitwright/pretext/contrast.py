"""SimCLR's pretext task: two views of an image find each other among those of all others."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def projection_head(features: int, hidden: int = 0, outputs: int = 128) -> nn.Sequential:
    """Linear - ReLU - Linear, real-valued; it serves the pretext task alone and is thrown away afterwards.

    Shape:
        (N, features) to (N, outputs).

    Args:
        features: what it reads.
        hidden: width in between; 0 for as many as features.
        outputs: what it returns.
    """
    hidden = hidden or features
    return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def similarity_logits(z: Tensor, temperature: float = 0.5) -> Tensor:
    """Cosine similarity of each row to all other rows, over the temperature: cos(z_i, z_j) / T for j other than i.

    The cross-entropy of these logits with the labels that `partners` gives is NT-Xent, SimCLR's loss: the mean over i
    of -log(exp(cos(z_i, z_p(i)) / T) / sum_{j != i} exp(cos(z_i, z_j) / T)).

    Shape:
        z (2 N, D), the second views behind the first ones; result (2 N, 2 N - 1), without the diagonal.

    Args:
        z: what the projection head returns.
        temperature: T, above 0.

    Raises:
        ValueError: the temperature is not above 0.

    Reference: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020, eq. 1.
    """
    if temperature <= 0:
        raise ValueError(f"temperature: expected a number above 0, found {temperature}")
    z = F.normalize(z, dim=1)
    others = ~torch.eye(len(z), dtype=torch.bool, device=z.device)
    return (z @ z.T / temperature)[others].view(len(z), -1)


def partners(count: int, device: torch.device | None = None) -> Tensor:
    """Where in its row of `similarity_logits` each view finds the other view of its image.

    Shape:
        result (2 * count,) int64.

    Args:
        count: N, of images.
        device: of the result.
    """
    places = torch.arange(count, device=device)
    return torch.cat([places + count - 1, places])  # the left-out diagonal moves what stands behind it by one
