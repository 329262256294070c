"""Squeeze-and-interaction: light real-valued branches beside a binary convolution, with a limit on what they add."""

from math import prod
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

Rank = int | Literal["largest", "full"]


class Interaction(nn.Module):
    """One branch, b[o, p] = t_o * u_p: t = T s, u = omega conv m; of each image a matrix of rank 1 over (o, p).

    T is a whole matrix, or of a rank r the product of two, (C', r) and (r, C). The last of them starts at 0, and so
    does the branch. The kernel omega slides as the convolution beside it does.

    Shape:
        s (N, C), m (N, 1, H, W), result (N, C', H', W').

    Args:
        layer: The convolution, for its geometry.
        rank: Of T; 0 for a whole matrix.
    """

    def __init__(self, layer: nn.Conv2d, rank: int) -> None:
        super().__init__()
        inputs, outputs = layer.in_channels, layer.out_channels
        self.squeeze = nn.Linear(inputs, rank, bias=False) if rank else nn.Identity()
        self.excite = nn.Linear(rank or inputs, outputs, bias=False)
        self.window = nn.Conv2d(1, 1, layer.kernel_size, layer.stride, layer.padding, layer.dilation, bias=False)  # pyright: ignore[reportArgumentType]
        nn.init.zeros_(self.excite.weight)

    def forward(self, s: Tensor, m: Tensor) -> Tensor:
        """The branch of the two squeezed inputs."""
        return self.excite(self.squeeze(s))[:, :, None, None] * self.window(m)


class SqueezeInteraction(nn.Module):
    """y + b_1(x) + ... + b_K(x), each branch b of x squeezed in two ways: s_c = max_p x[c, p] and m_p = max_c x[c, p].

    b[o, p] = (T s)_o * (omega conv m)_p. Of equal maxima the first has the gradient. With `normalize` a
    batch norm comes before the sum: bn(y) + b_1(x) + ...

    Shape:
        x (N, C, H, W), y (N, C', H', W').

    Args:
        layer: nn.Conv2d, whose output is corrected.
        branches: K.
        rank: of each T, 0 for a whole matrix: see `choose_rank`.
        normalize: see above.

    Reference: Ye et al., "Distillation Guided Residual Learning for Binary Convolutional Neural Networks", IEEE TNNLS
        2021; a reconstruction.
    """

    def __init__(self, layer: nn.Conv2d, branches: int = 1, rank: int = 0, normalize: bool = False) -> None:
        super().__init__()
        self.branches = nn.ModuleList([Interaction(layer, rank) for _ in range(branches)])
        self.norm = nn.BatchNorm2d(layer.out_channels) if normalize else nn.Identity()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Correct y."""
        s = F.max_pool2d(x, x.shape[2:]).flatten(1)  # pyright: ignore[reportArgumentType]
        m = x.max(1, keepdim=True).values
        y = self.norm(y)
        for branch in self.branches:
            y = y + branch(s, m)
        return y


def branch_size(layer: nn.Conv2d, rank: int) -> int:
    """Parameters of one `Interaction`: C*C' + kh*kw, or with a rank r: r*(C + C') + kh*kw.

    Args:
        layer: the convolution beside it.
        rank: of T, 0 for a whole matrix.
    """
    inputs, outputs = layer.in_channels, layer.out_channels
    return (rank * (inputs + outputs) if rank else inputs * outputs) + prod(layer.kernel_size)


def choose_rank(layer: nn.Conv2d, branches: int, rank: Rank, limit: float) -> int | None:
    """The rank of the branches' matrices T, 0 for whole ones, within K * (size of a branch) <= limit * (weights).

    Args:
        layer: the convolution beside them.
        branches: K.
        rank: a number; "full" for whole matrices; "largest" for the most that the limit allows.
        limit: share of the layer's weights that the branches' parameters may add.

    Returns:
        None where "largest" finds room for no branch at all, as beside a depthwise convolution.

    Raises:
        ValueError: the rank, or a whole matrix, exceeds the limit.
    """
    weights = layer.weight.numel()
    room = limit * weights / branches
    if rank == "largest":
        if branch_size(layer, 0) <= room:
            return 0
        largest = int((room - prod(layer.kernel_size)) // (layer.in_channels + layer.out_channels))
        return largest if largest >= 1 else None
    chosen = 0 if rank == "full" else rank
    size = branch_size(layer, chosen)
    if size > room:
        raise ValueError(
            f"{layer}: {branches} branches of rank {rank} add {branches * size} parameters, expected at most "
            f"{limit:.1%} of its {weights} weights, {limit * weights:.0f}; rank='largest' takes what fits"
        )
    return chosen
