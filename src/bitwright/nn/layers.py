"""BinaryConv2d and BinaryLinear: nn.Conv2d and nn.Linear that binarize their weight and their input.

`binarize` makes them out of existing layers by changing the class in place, so that names, Parameters, hooks and
state-dict keys stay. In training the arithmetic is PyTorch's own; in `eval()` it is that of the packed network.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from bitwright.core.custom_ops import binary_conv2d, binary_linear
from bitwright.core.levels import has_digits


class _Binary(nn.Module):
    """What both layers share: two binarizers beside the latent weight."""

    weight: Tensor
    weight_binarizer: nn.Module
    input_binarizer: nn.Module

    def binarized_weight(self) -> Tensor:
        """The weight that enters the sum: two levels for each output channel."""
        return self.weight_binarizer(self.weight)

    def _is_added(self, key: str) -> bool:
        """Whether an entry of the state dict is none of the layer's that this one was made of."""
        return "_binarizer." in key

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        # A checkpoint of the float network has no entries for what binary layers add: that keeps what it holds.
        own = {k: v for k, v in self.state_dict(prefix=prefix).items() if self._is_added(k.removeprefix(prefix))}
        if not own.keys() & state_dict.keys():
            state_dict.update(own)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class BinaryConv2d(_Binary, nn.Conv2d):
    """y = conv(input_binarizer(x), weight_binarizer(weight)) + bias; zero padding adds nothing to the sum.

    Shape:
        x (N, in, H, W), y (N, out, H', W'), weight (out, in/groups, kh, kw), the latent one.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Convolve the binarized input with the binarized weight."""
        x, w = self.input_binarizer(input), self.binarized_weight()
        if self.training:
            return F.conv2d(x, w, self.bias, self.stride, self.padding, self.dilation, self.groups)
        padding, digits = self._two_sided_padding(), has_digits(self.input_binarizer)
        return binary_conv2d(x, w, self.bias, self.stride, padding, self.dilation, self.groups, digits)

    def _two_sided_padding(self) -> tuple[int, ...]:
        if isinstance(self.padding, tuple):
            return self.padding
        if self.padding == "valid":
            return (0, 0)
        return tuple(d * (k - 1) // 2 for d, k in zip(self.dilation, self.kernel_size, strict=True))


class BinaryLinear(_Binary, nn.Linear):
    """y = input_binarizer(x) @ weight_binarizer(weight).T + bias.

    Shape:
        x (..., in), y (..., out), weight (out, in), the latent one.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Multiply the binarized input by the binarized weight."""
        x, w = self.input_binarizer(input), self.binarized_weight()
        if self.training:
            return F.linear(x, w, self.bias)
        return binary_linear(x, w, self.bias, has_digits(self.input_binarizer))
