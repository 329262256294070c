"""Blocks that learn each alone: what they return on inputs at which the gradient stops."""

from collections.abc import Mapping

from torch import Tensor, nn

from bitwright.nn.modes import keeping_statistics


def run_alone(net: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Run named modules once more, each on an input of its own: B_n(X_n), where X_n is a constant to the gradient.

    A loss of the result reaches the parameters of module n and no others. With the student's own inputs each block
    learns to make up for what the blocks before it lost, which is how it will be used; with the teacher's inputs it
    learns its part as if the others were perfect. Batch norms take the batch's statistics, and leave their averages
    alone.

    Args:
        net: the network; it is the same before and after.
        inputs: from names of modules to what each is given, see `taps.tap`.

    Returns:
        What each returns, under the same names.

    Reference: Ye et al., "Distillation Guided Residual Learning for Binary Convolutional Neural Networks", IEEE TNNLS
        2021, for block-wise distillation; that the gradient stops is a reconstruction.

    Example:
        >>> import torch
        >>> from bitwright.distill import tap
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
        >>> with tap(net, ["1"], inputs=True) as given:
        ...     logits = net(torch.randn(5, 4))
        >>> run_alone(net, given)["1"].sum().backward()
        >>> net[0].weight.grad is None
        True
    """
    with keeping_statistics(net):
        return {name: net.get_submodule(name)(x.detach()) for name, x in inputs.items()}
