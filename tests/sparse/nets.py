"""Small networks for pruning, binary and real."""

import torch
import torch.nn.functional as F
from torch import nn

import bitwright as bw


def float_net() -> nn.Sequential:
    """Two inner convolutions between a real first and last layer."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 12, 3, padding=1, bias=False),
        nn.BatchNorm2d(12),
        nn.Conv2d(12, 16, 3, padding=1, stride=2, bias=False),
        nn.BatchNorm2d(16),
        nn.Flatten(),
        nn.Linear(256, 4),
    )


INNER = ("2", "4")


def binary_net(method: str = "bi_real_net", **options) -> nn.Module:
    return bw.binarize(float_net(), getattr(bw.methods, method)(**options))


def images(n: int = 8) -> torch.Tensor:
    return torch.randn(n, 1, 8, 8)


def steps(net: nn.Module, count: int = 3, optimizer: torch.optim.Optimizer | None = None) -> torch.optim.Optimizer:
    """A few steps of training on noise."""
    optimizer = optimizer or torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=1e-2)
    for _ in range(count):
        loss = F.cross_entropy(net(images()), torch.randint(0, 4, (8,)))
        optimizer.zero_grad()
        (loss + bw.penalty(net, loss)).backward()
        optimizer.step()
        bw.after_step(net)
    return optimizer
