"""A linear classifier on frozen features: the usual measure of what a body has learned without labels."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def fit_linear(features: Tensor, labels: Tensor, classes: int, *, decay: float = 1e-4, steps: int = 200) -> nn.Linear:
    """Fit softmax(W f + b) to labels: the minimum of cross-entropy + decay / 2 * ||W||^2 on standardised features f.

    The problem is convex, so nothing has to be chosen by trying; L-BFGS sees all features at once. The result reads
    features as they are.

    Shape:
        features (N, D), labels (N,) int64.

    Args:
        features: of a frozen body, see `body_features`.
        labels: from 0.
        classes: how many there are.
        decay: L2 term, 0 or more.
        steps: of L-BFGS at most.

    Raises:
        ValueError: features and labels differ in number, or there are none.
    """
    if not len(features) or len(features) != len(labels):
        raise ValueError(f"expected as many labels as features, at least one, found {len(labels)} and {len(features)}")
    features = features.detach().float()
    mean, scale = features.mean(0), features.std(0, correction=0).clamp(min=1e-6)
    x = (features - mean) / scale
    layer = nn.Linear(features.shape[1], classes).to(features.device)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=steps, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(layer(x), labels) + decay / 2 * layer.weight.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)  # pyright: ignore[reportArgumentType]
    with torch.no_grad():
        layer.weight.div_(scale)
        layer.bias.sub_(layer.weight @ mean)
    return layer.requires_grad_(False)
