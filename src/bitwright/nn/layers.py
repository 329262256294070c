"""BinaryConv2d and BinaryLinear: nn.Conv2d and nn.Linear that binarize their weight and their input.

`binarize` makes them out of existing layers by changing the class in place, so that names, Parameters, hooks and
state-dict keys stay. In training the arithmetic is PyTorch's own; in `eval()` it is that of the packed network.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitwright.core.binarizers import LevelPair
from bitwright.core.custom_ops import binary_conv2d, binary_linear
from bitwright.core.levels import has_digits
from bitwright.core.masked import Masked, Ternary
from bitwright.nn.shapes import two_sided_padding


class _Binary(nn.Module):
    """What both layers share: two binarizers beside the latent weight, and perhaps a correction of the output."""

    weight: Tensor
    bias: Tensor | None
    weight_binarizer: nn.Module
    input_binarizer: nn.Module
    rescale: nn.Module | None
    added: tuple[str, ...] = ("weight_binarizer.", "input_binarizer.", "rescale.")  # what a float layer has not

    def forward(self, input: Tensor) -> Tensor:
        """The sum over the binarized input and weight, rescaled by the real input where the method does so."""
        y = self._deployed(input) if self._runs_packed() else self._trained(input)
        return y if self.rescale is None else self.rescale(input, y)

    def _real_sum(self, x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
        raise NotImplementedError

    def _packed_sum(self, x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
        raise NotImplementedError

    def _by_channel(self, values: Tensor) -> Tensor:
        raise NotImplementedError

    def binarized_weight(self) -> Tensor:
        """The weight that enters the sum: two levels for each output channel."""
        return self.weight_binarizer(self.weight)

    def _runs_packed(self) -> bool:
        real = isinstance(self.input_binarizer, nn.Identity) or isinstance(self.weight_binarizer, nn.Identity)
        return not (self.training or real)

    def _trained(self, input: Tensor) -> Tensor:
        return self._real_sum(self.input_binarizer(input), self.binarized_weight(), self.bias)

    def _deployed(self, input: Tensor) -> Tensor:
        """The same in the arithmetic of the packed network."""
        pair = self.input_binarizer
        if not isinstance(pair, LevelPair):
            return self._packed_sums(pair(input), self.bias)
        # scale * (conv(codes, w) + shift * conv(1, w)) + bias: zero padding makes conv(1, w) a map
        one = torch.ones((1, *input.shape[1:]), dtype=input.dtype, device=input.device)
        around = self._real_sum(one, self.binarized_weight(), None)
        y = pair.scale * (self._packed_sums(pair.codes(input), None) + pair.shift * around)
        return y if self.bias is None else y + self._by_channel(self.bias)

    def _packed_sums(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """The sum over binary weights; a file holds two levels a filter, so weights with a zero besides take two."""
        binarizer = self.weight_binarizer
        if not isinstance(binarizer, Ternary) or not binarizer.ternary:
            return self._packed_sum(x, self.binarized_weight(), bias)
        high, low = binarizer.planes(self.weight)
        return self._packed_sum(x, high, bias) + self._packed_sum(x, low, None)

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
        # A checkpoint of the float network, or of an earlier stage of training, has no entries for what the method
        # added since: that keeps what it holds.
        if isinstance(self.weight_binarizer, Masked):
            self.weight_binarizer.take_unpruned(state_dict, f"{prefix}weight_binarizer.")
        for part in self.added:
            own = {k: v for k, v in self.state_dict(prefix=prefix).items() if k.startswith(prefix + part)}
            if not own.keys() & state_dict.keys():
                state_dict.update(own)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class BinaryConv2d(_Binary, nn.Conv2d):
    """y = conv(input_binarizer(x), weight_binarizer(weight)) + bias; zero padding adds nothing to the sum.

    A method that rescales makes it rescale(x, y).

    Shape:
        x (N, in, H, W), y (N, out, H', W'), weight (out, in/groups, kh, kw), the latent one.
    """

    def _real_sum(self, x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(x, w, bias, self.stride, self.padding, self.dilation, self.groups)

    def _packed_sum(self, x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
        padding, digits = two_sided_padding(self), has_digits(self.input_binarizer)
        return binary_conv2d(x, w, bias, self.stride, padding, self.dilation, self.groups, digits)

    def _by_channel(self, values: Tensor) -> Tensor:
        return values.view(-1, 1, 1)


class BinaryLinear(_Binary, nn.Linear):
    """y = input_binarizer(x) @ weight_binarizer(weight).T + bias.

    A method that rescales makes it rescale(x, y).

    Shape:
        x (..., in), y (..., out), weight (out, in), the latent one.
    """

    def _real_sum(self, x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(x, w, bias)

    def _packed_sum(self, x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
        return binary_linear(x, w, bias, has_digits(self.input_binarizer))

    def _by_channel(self, values: Tensor) -> Tensor:
        return values
