"""Networks that nobody wrote for this library, and a few steps of training for them."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import bitwright as bw
from bitwright.ir.interpret import interpret
from bitwright.lower import lower


class Net(nn.Module):
    """A forward function and the modules it uses."""

    def __init__(self, forward: Callable[[nn.Module, Tensor], Tensor], **modules: nn.Module) -> None:
        super().__init__()
        self.function = forward
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def train(net: nn.Module, x: Tensor, steps: int = 3) -> nn.Module:
    """A few steps, then gains of all signs and some of 0, so that tails rise, fall and stay flat."""
    classes = net(x).flatten(1).shape[1]
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(steps):
        loss = F.cross_entropy(net(x).flatten(1), torch.randint(0, classes, (len(x),))) + bw.penalty(net)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        bw.after_step(net)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.affine:
                module.weight.mul_(torch.randn_like(module.weight))
                module.weight[::5] = 0
                module.bias.normal_()
    return net


def outputs(net: nn.Module, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """What torch says in eval mode, and what the interpreter says of the graph."""
    graph = lower(net, x)
    was, _ = net.training, net.eval()
    with torch.no_grad():
        expected = net(x).numpy()
    net.train(was)
    return expected, interpret(graph, x.numpy())
