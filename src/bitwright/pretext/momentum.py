"""MoCo's pretext task: a view finds the other view of its image, seen by a slower network, among those of the past."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call


def queue_logits(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float = 0.2) -> Tensor:
    """Cosine similarity of each query to its key, which comes first, and to all of the queue, over the temperature.

    The cross-entropy of these logits with the label 0 is InfoNCE, the mean over i of
    -log(exp(cos(q_i, k_i) / T) / (exp(cos(q_i, k_i) / T) + sum_j exp(cos(q_i, queue_j) / T))).

    Shape:
        queries and keys (N, D), queue (K, D); result (N, 1 + K).

    Args:
        queries: what the network that learns makes of the first views.
        keys: what the slower one makes of the second views.
        queue: keys of other images.
        temperature: T, above 0.

    Raises:
        ValueError: the temperature is not above 0.

    Reference: He et al., "Momentum Contrast for Unsupervised Visual Representation Learning", CVPR 2020, eq. 1.
    """
    if temperature <= 0:
        raise ValueError(f"temperature: expected a number above 0, found {temperature}")
    queries, keys, queue = (F.normalize(rows, dim=1) for rows in (queries, keys, queue))
    own = (queries * keys).sum(1, keepdim=True)
    return torch.cat([own, queries @ queue.T], 1) / temperature


class MomentumNetwork:
    """A network whose parameters follow those of another one slowly, and the queue of what it said last.

    At each step p' = m * p' + (1 - m) * p. It is the same code with other parameters, run on the network's buffers
    without changing them: batch norms normalise by the batch. The queue starts as random directions.

    Args:
        net: the network that is followed; it is not kept.
        outputs: D, how many numbers it returns for an image.
        size: K, keys in the queue.
        momentum: m, from 0, which is the network itself, to below 1.
        seed: of the first queue.

    Example:
        >>> net = nn.Linear(3, 2)
        >>> slow = MomentumNetwork(net, outputs=2, size=8)
        >>> views = torch.randn(2, 4, 3)
        >>> queue, keys = slow.queue, slow.answer(net, views[1])
        >>> loss = F.cross_entropy(queue_logits(net(views[0]), keys, queue), torch.zeros(4, dtype=torch.int64))
    """

    def __init__(self, net: nn.Module, outputs: int, size: int, momentum: float = 0.999, seed: int = 0) -> None:
        self.momentum = momentum
        self.parameters = {name: p.detach().clone() for name, p in net.named_parameters()}
        self.queue = F.normalize(torch.randn(size, outputs, generator=torch.Generator().manual_seed(seed)), dim=1)

    @torch.no_grad()
    def answer(self, net: nn.Module, x: Tensor) -> Tensor:
        """Follow the network, say what the views are, and put that into the queue, from which the oldest go.

        Shape:
            x (N, ...), result (N, D), rows of length 1.

        Args:
            net: the network that is followed, in training mode.
            x: views.
        """
        self.parameters = {
            name: p.detach().lerp(self.parameters[name].to(p.device), self.momentum)
            for name, p in net.named_parameters()
        }
        buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}
        keys = F.normalize(functional_call(net, {**self.parameters, **buffers}, (x,)).float(), dim=1)
        self.queue = torch.cat([self.queue.to(keys.device), keys])[-len(self.queue) :]
        return keys

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"parameters": self.parameters, "queue": self.queue}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.parameters, self.queue = dict(state["parameters"]), state["queue"]
