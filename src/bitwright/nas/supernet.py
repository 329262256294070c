"""The supernet: one network that holds the weights of all networks of a space, and lends them out.

Reference: Lin et al., "NAS-BNN: Neural Architecture Search for Binary Neural Networks", 2024 (arXiv 2408.15484), and
the authors' code.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from bitwright.methods.nas_bnn import nas_bnn
from bitwright.nas.shared import SharedBlock, SharedLinear, SharedNorm, SharedRPReLU, SharedStem
from bitwright.nas.space import Candidate, Space, find_space
from bitwright.nn.convert import binarize
from bitwright.zoo.nas_bnn import NasBnn
from bitwright.zoo.nas_bnn import nas_bnn as build


class Supernet(nn.Module):
    """Every network of a space, with shared weights; made by `supernet`.

    Called without a candidate it is its smallest network, whose passes alone the running statistics of batch norm
    follow, unless `track` says otherwise. For any other network they are to be taken anew (`evaluate.calibrate`).

    Shape:
        x (N, in_channels, H, W), result (N, num_classes).

    Args:
        space: The space.
        num_classes: Outputs.
        in_channels: Of the images.
        weight_loss: What `SupernetLesson` multiplies the weight losses of its binary networks by.
    """

    def __init__(self, space: Space, num_classes: int, in_channels: int, weight_loss: float = 0.0) -> None:
        super().__init__()
        self.space = space
        self.weight_loss = weight_loss
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.smallest = space.smallest()
        stem = space.stages[0]
        width = stem.channels[-1]
        self.conv = SharedStem(in_channels, width, 3, stem.stride, padding=1, bias=False)
        self.bn = SharedNorm(width)
        self.act = SharedRPReLU(width)
        stages = [space.stages[stage] for stage, _ in space.places]
        self.blocks = nn.ModuleList(
            [
                SharedBlock(before.channels[-1], stage.channels[-1], stage.kernels, stage.groups)
                for before, stage in pairwise(stages)
            ]
        )
        self.classifier = SharedLinear(stages[-1].channels[-1], num_classes)

    def forward(
        self, x: Tensor, candidate: Candidate | None = None, real: bool = False, track: bool | None = None
    ) -> Tensor:
        """Logits by one of the networks.

        Args:
            x: Images.
            candidate: Which; by default the smallest.
            real: Whether its weights are the real ones, standardised. Activations are binary either way.
            track: Whether running statistics follow this pass; by default they do where no candidate is given.
        """
        track = candidate is None if track is None else track
        candidate = self.smallest if candidate is None else candidate
        stem, *shapes = self.space.shapes(candidate)
        x = self.act(self.bn(self.conv(x, stem.channels), track))
        for row, shape in zip(self.space.active(candidate)[1:], shapes, strict=True):
            x = self.blocks[row - 1](x, shape, real, track)
        return self.classifier(x.mean((2, 3)))

    def standardised(self, candidate: Candidate) -> list[Tensor]:
        """What the convolutions of a candidate's network binarize, each (out, in/groups, k, k), in order.

        Args:
            candidate: Of the space.
        """
        blocks: list[Any] = [self.blocks[row - 1] for row in self.space.active(candidate)[1:]]
        shapes = pairwise(self.space.shapes(candidate))
        pairs = zip(blocks, shapes, strict=True)
        return [v for block, (before, shape) in pairs for v in block.standardised(before.channels, shape)]

    @torch.no_grad()
    def extract(self, candidate: Candidate) -> NasBnn:
        """A network of its own: `zoo.nas_bnn`, binarized, with copies of its weights, maps already applied.

        In eval mode it computes what this network computes of the candidate.

        Args:
            candidate: Of the space.
        """
        net = build(self.num_classes, self.in_channels, self.space.arch(candidate))
        binarize(net, nas_bnn(kernel_maps=False))
        net.to(self.classifier.weight.device)
        for ours, shared in ((net.conv, self.conv), (net.bn, self.bn), (net.act, self.act)):
            _copy(ours, shared)
        net.conv.has_steps = True
        for block, row in zip(net.blocks, self.space.active(candidate)[1:], strict=True):
            _copy_block(block, self.blocks[row - 1])
        _copy(net.classifier, self.classifier)
        return net.train(self.training)


def _copy_block(block: Any, shared: Any) -> None:
    for name in ("bn1", "act1", "bn2", "act2"):
        _copy(getattr(block, name), getattr(shared, name))
    for name, sign in (("conv1", shared.sign1), ("conv2", shared.sign2)):
        conv = getattr(block, name)
        outputs, columns, kernel, _ = conv.weight.shape
        conv.weight.copy_(getattr(shared, name).mapped(outputs, columns * conv.groups, kernel, conv.groups))
        threshold = conv.input_binarizer.bias
        threshold.copy_(sign.bias[: len(threshold)].view_as(threshold))


def _copy(ours: nn.Module, shared: nn.Module) -> None:
    """Fill a module from the first rows, and columns, of the shared one's tensors."""
    theirs = shared.state_dict()
    for name, value in ours.state_dict().items():
        value.copy_(theirs[name][tuple(slice(n) for n in value.shape)])


def supernet(
    num_classes: int = 1000,
    in_channels: int = 3,
    space: str | Mapping[str, Any] = "imagenet",
    weight_loss: float = 0.0,
) -> Supernet:
    """The supernet of a space, for recipes: name = "bitwright.nas.supernet:supernet".

    Args:
        num_classes: Outputs.
        in_channels: Of the images.
        space: "imagenet" (published), "cifar", "cifar-small", or a table, see `space.find_space`.
        weight_loss: Factor of the weight losses in training, 0 or more. The published code has 0.1 as an option that
            its command leaves off.

    Raises:
        ValueError: There is no such space, or the factor is negative.
    """
    if weight_loss < 0:
        raise ValueError(f"weight_loss: expected 0 or more, found {weight_loss}")
    return Supernet(find_space(space), num_classes, in_channels, weight_loss)
