"""Modes: a network in eval mode for a while, or one whose batch norms take no notice of what passes."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Eval mode inside the block; afterwards each module is in the mode it was found in.

    Args:
        net: any nn.Module.
    """
    modes = {module: module.training for module in net.modules()}
    net.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def keeping_statistics(net: nn.Module) -> Iterator[None]:
    """Batch norms that are training still normalise by the batch inside the block, but leave their averages alone.

    Args:
        net: any nn.Module.
    """
    norms = [m for m in net.modules() if isinstance(m, _BatchNorm) and m.training and m.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
