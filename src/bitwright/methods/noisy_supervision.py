"""LNS: a small network maps each filter to its binary filter, taught by the signs of the weights as noisy labels.

Train a network with plain signs first (`noisy_supervision` may start from its weights), then the mappings alone for a
few epochs, then everything:

    for name, parameter in net.named_parameters():
        parameter.requires_grad_(".mapping." in name)      # warm start; afterwards True for all

By its nature a step costs a multiple of the float network's: the mapping of a 3x3 layer of C inputs and outputs does
648 * C^3 multiplications in each forward pass (the paper's hidden width is 2*C), whatever the batch.

Deployed: one bit a weight and one real scale a layer, which folds into the batch norm behind; mappings and latent
weights are left behind.

Checked: the paper's equations. It does not say whether the mapping's output is binary where the loss sees it: see
`supervised`. Choices of ours: the mapping has no bias and no non-linearity at its end, and its batch norm always takes
the statistics of the layer's own filters, so that what was trained is what is deployed.

Reference: Han et al., "Training Binary Neural Networks through Learning with Noisy Supervision", ICML 2020.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bitwright.core.binarizers import Sign
from bitwright.core.custom_ops import sign
from bitwright.core.hooks import Penalized
from bitwright.core.method import Method


def corrected_loss(predicted: Tensor, label: Tensor, flip_rate: float) -> Tensor:
    """The squared error, corrected so that its mean over flipped labels is the error to the true ones.

    l(q, s) = ((1 - rho) * (q - s)^2 - rho * (q + s)^2) / (1 - 2*rho), for a label s that is wrong with probability rho.

    Shape:
        predicted, label and the result: the same, elementwise.

    Args:
        predicted: real values q.
        label: -1 or +1, possibly wrong.
        flip_rate: rho, at least 0 and below 1/2.

    Reference: Han et al., ICML 2020, equation 15, with one rate for both labels.
    """
    keep, flip = (1 - flip_rate) / (1 - 2 * flip_rate), flip_rate / (1 - 2 * flip_rate)
    return keep * (predicted - label).square() - flip * (predicted + label).square()


class _ScaledSign(torch.autograd.Function):
    """scale * sign(q), scale a constant; the gradient is clipped in value, not windowed (equation 3)."""

    @staticmethod
    def forward(q: Tensor, scale: Tensor) -> Tensor:
        return scale * sign(q)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0].clamp(-1, 1), None


def filter_mapping(channels: int, kernel: int) -> nn.Sequential:
    """Three convolutions over filters as images, C to 2*C to 2*C to C channels, batch norm and ReLU between them.

    Filters of one pixel meet only the centre of the paper's 3x3 convolutions, so there the kernel is 1.
    """

    def norm() -> nn.BatchNorm2d:
        return nn.BatchNorm2d(2 * channels, track_running_stats=False)

    def conv(inputs: int, outputs: int) -> nn.Conv2d:
        return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)

    first, second, third = conv(channels, 2 * channels), conv(2 * channels, 2 * channels), conv(2 * channels, channels)
    return nn.Sequential(first, norm(), nn.ReLU(), second, norm(), nn.ReLU(), third)


class _NoisyLabels:
    """The term of one layer: alpha * l(q, sign(w)), summed over all weights or their mean."""

    def __init__(self, binarizer: "MappedSign", alpha: float, flip_rate: float, mean: bool, binary: bool) -> None:
        self.binarizer = binarizer
        self.alpha = alpha
        self.flip_rate = flip_rate
        self.mean = mean
        self.binary = binary

    def __call__(self, weights: Sequence[Tensor], loss: Tensor) -> Tensor:
        (w,) = weights
        q = self.binarizer.take_mapped(w)
        q = _ScaledSign.apply(q, torch.ones_like(w[:1, :1])) if self.binary else q
        each = corrected_loss(q, sign(w.detach()), self.flip_rate)
        return self.alpha * (each.mean() if self.mean else each.sum())


class MappedSign(nn.Module, Penalized):
    """scale * sign(f(w)), with f a learned mapping and scale = mean(abs(w)) over the layer, a constant.

    Shape:
        w (out, in, kh, kw) or (out, in), unchanged.
    """

    def __init__(self, w: Tensor, scaled: bool, **term: Any) -> None:
        super().__init__()
        self.mapping = filter_mapping(w.shape[1], 3 if w[0, 0].numel() > 1 else 1)
        self.scaled = scaled
        self._term = _NoisyLabels(self, **term)
        self._mapped: Tensor | None = None

    @property
    def penalty_term(self) -> _NoisyLabels:
        """The corrected loss of this layer's mapping."""
        return self._term

    def forward(self, w: Tensor) -> Tensor:
        """Binarize w."""
        q = self._map(w)
        if self.training and torch.is_grad_enabled():
            self._mapped = q
        scale = w.detach().abs().mean() if self.scaled else w.new_ones(())
        return _ScaledSign.apply(q, scale)  # type: ignore[no-any-return]

    def take_mapped(self, w: Tensor) -> Tensor:
        """What the mapping made of w in the last forward pass of training, which is too dear to be done twice."""
        q, self._mapped = self._mapped, None
        return self._map(w) if q is None else q

    def _map(self, w: Tensor) -> Tensor:
        images = w if w.dim() == 4 else w[:, :, None, None]
        return self.mapping(images).view(w.shape)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mapped": None}  # part of a graph: neither copied nor pickled


def noisy_supervision(
    flip_rate: float = 0.005,
    alpha: float = 1.0,
    supervised: Literal["real", "binary"] = "real",
    reduction: Literal["sum", "mean"] = "sum",
    scale: Literal["layer", "none"] = "layer",
) -> Method:
    """Weights scale * sign(f(w)) with a mapping f of each layer's own; activations sign, slope 1 where abs(x) <= 1.

    Each layer adds alpha * l(f(w), sign(w)) to the loss, see `corrected_loss`.

    Args:
        flip_rate: the share of signs of w taken for wrong, rho; tuned on CIFAR-10.
        alpha: weight of the term; tuned on CIFAR-10.
        supervised: what the loss compares with the labels: the mapping's "real" output, or the "binary" one that enters
            the layer, with the gradient passed through.
        reduction: over the weights of a layer: their "sum", as the paper's equation 17 has it, or their "mean", as 16.
        scale: mean(abs(w)) over the "layer", as in the paper's experiments, or "none", as in its formulas.

    Raises:
        ValueError: an argument is out of its range or none of its choices.

    Reference: Han et al., ICML 2020, equations 4, 15, 17 and 21.
    """
    if not 0 <= flip_rate < 0.5:
        raise ValueError(f"flip_rate: expected a share from 0 to less than 0.5, such as 0.005, found {flip_rate}")
    choices = {
        "supervised": (supervised, "real", "binary"),
        "reduction": (reduction, "sum", "mean"),
        "scale": (scale, "layer", "none"),
    }
    for name, (value, *allowed) in choices.items():
        if value not in allowed:
            raise ValueError(f"{name}: expected {allowed[0]!r} or {allowed[1]!r}, found {value!r}")
    term = {"alpha": alpha, "flip_rate": flip_rate, "mean": reduction == "mean", "binary": supervised == "binary"}
    return Method(
        weight=lambda layer: MappedSign(layer.get_parameter("weight"), scale == "layer", **term),
        activation=lambda layer: Sign(),
    )
