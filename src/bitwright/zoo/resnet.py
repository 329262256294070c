"""Residual networks of 18, 20 and 34 layers, in the wirings that binary networks use.

Which options make the network of which paper. For images of about 32x32:

- He et al., ResNet-20: shortcut_every=2, shortcut="subsample", nonlinearity="relu", head="plain".
- IR-Net, SD-BNN, RBNN, ResNet-20: shortcut="subsample"; AdaBin: nonlinearity="maxout" too. ReCU: the defaults.
- IR-Net, ResNet-18: stem_nonlinearity="identity". SD-BNN: the defaults.

For images of about 224x224, the defaults of `resnet34` are Bi-Real Net's, which `resnet18` has by shortcut_every=1,
nonlinearity="identity", stem="large", head="plain"; the others change some of them:

- IR-Net: shortcut="strided_conv", nonlinearity="hardtanh", head="norm".
- SD-BNN: nonlinearity="prelu", stem_nonlinearity="identity". ReActNet: "rprelu" instead, see `reactnet18`.
- Si-BNN: order="norm-conv-norm-add-act", shortcut="conv_pool", head="relu".
- Real-to-Binary: order="norm-conv-act-add", nonlinearity="prelu".
- FTBNN-style: order="conv-norm-act-add", shortcut="copies" or "binary", nonlinearity="fprelu".

Reference: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2; Liu et al., "Bi-Real Net",
ECCV 2018, for one shortcut per convolution; hardtanh in place of ReLU as in binary networks since.
"""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from bitwright.zoo.blocks import (
    ActThenSumBlock,
    DoubleBlock,
    Nonlinearity,
    NormFirstBlock,
    Order,
    Shortcut,
    SingleBlock,
    SumLastBlock,
    check_choice,
    make_nonlinearity,
)

Stem = Literal["small", "large"]
Head = Literal["norm", "plain", "relu"]

_SINGLE: dict[Order, type[SingleBlock] | type[SumLastBlock]] = {
    "conv-norm-add-act": SingleBlock,
    "conv-norm-act-add": ActThenSumBlock,
    "norm-conv-norm-add-act": NormFirstBlock,
    "norm-conv-act-add": SumLastBlock,
}


class ResNet(nn.Module):
    """The network that the functions below build. Shape: x (N, in_channels, H, W), result (N, num_classes).

    `real_layers` names the first convolution, 1x1 convolutions of shortcuts but "binary" ones, and the linear layer.

    Args:
        widths: Channels of each stage; from the second one on, a stage halves the sides.
        convolutions: How many each stage has.
        num_classes: As for `resnet18`, like all that follow.
        in_channels: Of the image.
        shortcut_every: Convolutions.
        shortcut: Where the shape changes.
        nonlinearity: Of the blocks.
        stem: Small or large.
        order: Within blocks of one convolution.
        stem_nonlinearity: Of the stem.
        head: In front of the linear layer.

    Raises:
        ValueError: An argument is none of its choices.
    """

    def __init__(
        self,
        widths: Sequence[int],
        convolutions: Sequence[int],
        num_classes: int,
        in_channels: int,
        shortcut_every: int,
        shortcut: Shortcut,
        nonlinearity: Nonlinearity,
        stem: Stem = "small",
        order: Order = "conv-norm-add-act",
        stem_nonlinearity: Nonlinearity | None = None,
        head: Head = "norm",
    ) -> None:
        super().__init__()
        check_choice("stem", stem, ("small", "large"))
        check_choice("shortcut_every", shortcut_every, (1, 2))
        check_choice("order", order, _SINGLE if shortcut_every == 1 else ["conv-norm-add-act"])
        check_choice("head", head, ("norm", "plain", "relu"))
        block = _SINGLE[order] if shortcut_every == 1 else DoubleBlock
        kernel, stride, padding = (3, 1, 1) if stem == "small" else (7, 2, 3)
        self.conv = nn.Conv2d(in_channels, widths[0], kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(widths[0])
        self.act = make_nonlinearity(nonlinearity if stem_nonlinearity is None else stem_nonlinearity, widths[0])
        self.stem_pool = nn.Identity() if stem == "small" else nn.MaxPool2d(3, 2, padding=1)
        blocks: list[nn.Module] = []
        inputs = widths[0]
        for stage, (width, count) in enumerate(zip(widths, convolutions, strict=True)):
            for index in range(count // shortcut_every):
                stride = 2 if stage and not index else 1
                blocks.append(block(inputs, width, stride, shortcut, nonlinearity))
                inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.head_act = nn.ReLU() if head == "relu" else nn.Identity()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head_bn = nn.BatchNorm1d(inputs) if head == "norm" else nn.Identity()
        self.classifier = nn.Linear(inputs, num_classes)
        around = [n for n, m in self.blocks.named_modules() if isinstance(m, nn.Conv2d) and ".shortcut." in n]
        real = [] if shortcut == "binary" else [f"blocks.{name}" for name in around]
        self.real_layers = ("conv", *real, "classifier")

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch of images."""
        x = self.blocks(self.stem_pool(self.act(self.bn(self.conv(x)))))
        return self.classifier(self.head_bn(self.flatten(self.pool(self.head_act(x)))))


def resnet18(
    num_classes: int = 10,
    in_channels: int = 3,
    width: int = 64,
    shortcut_every: int = 2,
    shortcut: Shortcut = "conv",
    nonlinearity: Nonlinearity = "hardtanh",
    stem: Stem = "small",
    order: Order = "conv-norm-add-act",
    stem_nonlinearity: Nonlinearity | None = None,
    head: Head = "norm",
) -> ResNet:
    """ResNet-18: a stem, four stages of four convolutions, 64 to 512 channels.

    With the defaults 10,985,472 weights are binary.

    Args:
        num_classes: outputs.
        in_channels: of the image.
        width: channels of the first stage; each later one doubles them and halves the sides.
        shortcut_every: one shortcut per 1 convolution or per 2.
        shortcut: where the shape changes. "conv" is a real 1x1 convolution and batch norm in their usual form, which is
            "pool_conv", behind average pooling by 2, with one shortcut per convolution, and "strided_conv" with one per
            two; "conv_pool" pools behind them. "pad" is average pooling by 2 and channels of zeros, "subsample" every
            second pixel and channels of zeros (option A), "copies" average pooling and the channels again, "binary"
            these and a binary 1x1 convolution.
        nonlinearity: after each sum, and between the convolutions of a pair: "hardtanh", "relu", "prelu", "rprelu",
            "fprelu" or "maxout" per channel, "identity" for none, or what makes the module.
        stem: "small" is a 3x3 convolution, for images of about 32x32; "large" a 7x7 one of stride 2 and a 3x3 max-pool
            of stride 2, for images of about 224x224.
        order: within blocks of one convolution, where "add" is the shortcut's sum and "act" the nonlinearity.
        stem_nonlinearity: after the stem's batch norm; None is the same as elsewhere.
        head: between pooling and linear layer: "norm" is a batch norm, "plain" nothing; "relu" a ReLU before pooling.

    Shape:
        x (N, in_channels, H, W), result (N, num_classes); pooled shortcuts need sides that are multiples of 8,
        of 32 behind the large stem.

    Raises:
        ValueError: an argument is none of its choices.
    """
    widths = [width, 2 * width, 4 * width, 8 * width]
    return ResNet(
        widths, [4, 4, 4, 4], num_classes, in_channels, shortcut_every, shortcut, nonlinearity, stem, order,
        stem_nonlinearity, head,
    )  # fmt: skip


def resnet34(
    num_classes: int = 1000,
    in_channels: int = 3,
    width: int = 64,
    shortcut_every: int = 1,
    shortcut: Shortcut = "conv",
    nonlinearity: Nonlinearity = "identity",
    stem: Stem = "large",
    order: Order = "conv-norm-add-act",
    stem_nonlinearity: Nonlinearity | None = None,
    head: Head = "plain",
) -> ResNet:
    """ResNet-34: a stem, four stages of 6, 8, 12 and 6 convolutions, 64 to 512 channels.

    The defaults are those of Bi-Real Net for images of about 224x224; 21,086,208 weights are binary. Arguments and
    shapes are those of `resnet18`.

    Raises:
        ValueError: an argument is none of its choices.
    """
    widths = [width, 2 * width, 4 * width, 8 * width]
    return ResNet(
        widths, [6, 8, 12, 6], num_classes, in_channels, shortcut_every, shortcut, nonlinearity, stem, order,
        stem_nonlinearity, head,
    )  # fmt: skip


def resnet20(
    num_classes: int = 10,
    in_channels: int = 3,
    width: int = 16,
    shortcut_every: int = 1,
    shortcut: Shortcut = "pad",
    nonlinearity: Nonlinearity = "hardtanh",
    order: Order = "conv-norm-add-act",
    stem_nonlinearity: Nonlinearity | None = None,
    head: Head = "norm",
) -> ResNet:
    """ResNet-20 for images of about 32x32: 3x3 stem, three stages of six convolutions, 16 to 64 channels.

    With the defaults 267,264 weights are binary. Arguments and shapes are those of `resnet18`; pooled shortcuts need
    sides that are multiples of 4.

    Raises:
        ValueError: an argument is none of its choices.
    """
    widths = [width, 2 * width, 4 * width]
    return ResNet(
        widths, [6, 6, 6], num_classes, in_channels, shortcut_every, shortcut, nonlinearity, "small", order,
        stem_nonlinearity, head,
    )  # fmt: skip
