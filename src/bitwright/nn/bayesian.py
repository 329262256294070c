"""Layers whose weights are Gaussian random numbers: drawn in training, their means in `eval()`.

Mean-field variational inference: q(w) = prod N(w_i; mu_i, sigma_i^2), sigma_i = log(1 + e^rho_i). The means are the
layer's `weight`, so that a checkpoint of the ordinary layer loads, and the layer in `eval()` is the ordinary layer.

Reference: Blundell et al., "Weight Uncertainty in Neural Networks", ICML 2015; Kingma, Salimans and Welling,
"Variational Dropout and the Local Reparameterization Trick", NeurIPS 2015.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitwright.core.hooks import Penalized, Scheduled

Sampling = Literal["local", "weights"]
Centre = Literal["zero", "trained"]

_LEAST_DEVIATION = 1e-8  # of first weights that are all equal, whose logarithm would be infinite
_LEAST_VARIANCE = 1e-16  # of an output whose inputs are all 0: the derivative of the square root stays finite


@dataclass(eq=False)
class Divergence:
    """What the loss gains: beta / N * KL(q || p), which together with the mean cross-entropy is -ELBO / N for beta = 1.

    With a warm-up, the factor grows linearly from 0 over that share of training.

    Args:
        images: N, how many the training set has.
        beta: the factor; less than 1 is a "cold" posterior.
        warmup: the share of training it takes the factor to reach beta.
        progress: the share of training that is done.
    """

    images: int
    beta: float = 1.0
    warmup: float = 0.0
    progress: float = 1.0

    @property
    def factor(self) -> float:
        """The factor of the divergence now."""
        grown = min(1.0, self.progress / self.warmup) if self.warmup else 1.0
        return grown * self.beta / self.images

    def __call__(self, weights: Sequence[Tensor], loss: Tensor) -> Tensor:
        """The term, 0-d, from each parameter's part of the divergence."""
        return self.factor * torch.stack([part.sum() for part in weights]).sum()


class Bayesian(nn.Module, Scheduled, Penalized):
    """What both layers share: a deviation for each weight, how outputs are drawn, and the divergence from the prior."""

    weight: Tensor
    bias: Tensor | None
    rho: nn.Parameter
    prior_mean: Tensor | None
    prior: float
    initial: float
    sampling: Sampling
    divergence: Divergence

    @property
    def deviation(self) -> Tensor:
        """The standard deviation log(1 + e^rho) of each weight, of its shape."""
        return F.softplus(self.rho)

    def forward(self, input: Tensor) -> Tensor:
        """In training an output drawn anew, with gradients to mean and deviation; else that of the mean weights."""
        if not self.training:
            return self._sum(input, self.weight, self.bias)
        if self.sampling == "weights":
            return self._sum(input, self.weight + self.deviation * torch.randn_like(self.weight), self.bias)
        mean = self._sum(input, self.weight, self.bias)
        variance = self._sum(input.square(), self.deviation.square(), None)
        variance = variance.to(torch.promote_types(variance.dtype, torch.float32))
        return mean + variance.clamp(min=_LEAST_VARIANCE).sqrt() * torch.randn_like(mean)

    @abstractmethod
    def _sum(self, x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
        """What the ordinary layer computes, with these weights."""

    @property
    def penalty_term(self) -> Divergence:
        """The layer's own term."""
        return self.divergence

    def penalized(self, weight: Tensor) -> Tensor:
        """A parameter's part of KL(q || p), whose two parts depend on one parameter each; a bias has none.

        KL = sum (mu - m)^2 / (2 s^2) + sum (log(s / sigma) + sigma^2 / (2 s^2) - 1/2), with the prior N(m, s^2)
        """
        if weight is self.weight:
            away = weight if self.prior_mean is None else weight - self.prior_mean
            return away.square().sum() / (2 * self.prior**2)
        if weight is self.rho:
            sigma = self.deviation
            return (math.log(self.prior) - sigma.log() + sigma.square() / (2 * self.prior**2) - 0.5).sum()
        return torch.zeros((), device=weight.device)

    def kl(self) -> Tensor:
        """KL(q || p), 0-d."""
        return self.penalized(self.weight) + self.penalized(self.rho)

    def set_progress(self, progress: float) -> None:
        """Move along the warm-up."""
        self.divergence.progress = progress

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
        # A checkpoint of the ordinary layer says where deviations and prior start.
        weight = state_dict.get(f"{prefix}weight")
        if weight is not None and f"{prefix}rho" not in state_dict:
            state_dict[f"{prefix}rho"] = initial_rho(weight, self.initial)
            if self.prior_mean is not None:
                state_dict[f"{prefix}prior_mean"] = weight
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class BayesianConv2d(Bayesian, nn.Conv2d):
    """y = conv(x, w) + bias with w ~ N(weight, deviation^2); in `eval()` y = conv(x, weight) + bias.

    Drawn by local reparameterisation, y ~ N(conv(x, weight) + bias, conv(x^2, deviation^2)), each element by itself.

    Shape:
        x (N, in, H, W), y (N, out, H', W'), weight and rho (out, in/groups, kh, kw).
    """

    def _sum(self, x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(x, w, bias, self.stride, self.padding, self.dilation, self.groups)


class BayesianLinear(Bayesian, nn.Linear):
    """y = x @ w.T + bias with w ~ N(weight, deviation^2); in `eval()` y = x @ weight.T + bias.

    Shape:
        x (..., in), y (..., out), weight and rho (out, in).
    """

    def _sum(self, x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(x, w, bias)


def initial_rho(weight: Tensor, share: float) -> Tensor:
    """The rho of deviations that are a share of the standard deviation of all weights: log(e^sigma - 1).

    Shape:
        weight and the result: any, the same.

    Args:
        weight: the trained weights.
        share: sigma / std(weight).
    """
    sigma = (share * weight.detach().float().std(correction=0)).clamp(min=_LEAST_DEVIATION)
    return torch.full_like(weight, float(sigma.expm1().log()))


def make_bayesian(
    layer: nn.Conv2d | nn.Linear,
    divergence: Divergence,
    *,
    deviation: float = 0.05,
    prior: float = 1.0,
    centre: Centre = "zero",
    sampling: Sampling = "local",
) -> nn.Module:
    """Give a layer a distribution of its weights, in place: it becomes a BayesianConv2d or a BayesianLinear.

    Its name, Parameters and state-dict keys stay; `rho` is new, and so is `prior_mean` of a prior around what is
    trained. A checkpoint without them sets them anew.

    Args:
        layer: exactly an nn.Conv2d or nn.Linear, with zero padding.
        divergence: the term of the loss.
        deviation: sigma at the start, as a share of the standard deviation of the weights; above 0.
        prior: standard deviation of the prior, above 0.
        centre: of the prior: "zero", or the weights as they are now, "trained".
        sampling: "local" draws each output, "weights" one set of weights for a batch.

    Returns:
        The same layer.

    Raises:
        ValueError: the layer is something else, or a setting is out of range.
    """
    kinds = {nn.Conv2d: BayesianConv2d, nn.Linear: BayesianLinear}
    if type(layer) not in kinds:
        raise ValueError(f"expected exactly an nn.Conv2d or nn.Linear with real weights, found {type(layer).__name__}")
    if isinstance(layer, nn.Conv2d) and layer.padding_mode != "zeros":
        raise ValueError(f"expected padding_mode='zeros', found {layer.padding_mode!r}")
    for name, value in (("deviation", deviation), ("prior", prior)):
        if not value > 0:
            raise ValueError(f"{name}: expected a number above 0, found {value}")
    if centre not in ("zero", "trained") or sampling not in ("local", "weights"):
        raise ValueError(
            f"expected centre 'zero' or 'trained' and sampling 'local' or 'weights', found {centre!r} and {sampling!r}"
        )
    kind: Any = kinds[type(layer)]
    layer.__class__ = kind
    assert isinstance(layer, Bayesian)
    layer.rho = nn.Parameter(initial_rho(layer.weight, deviation))
    layer.register_buffer("prior_mean", layer.weight.detach().clone() if centre == "trained" else None)
    layer.prior, layer.initial, layer.sampling, layer.divergence = prior, deviation, sampling, divergence
    return layer


def hold_rest(net: nn.Module) -> None:
    """Training mode for the Bayesian layers and eval mode for all others; nothing where there are none.

    To be called where a loop calls `net.train()`, which would let the frozen batch norms take new statistics.

    Args:
        net: the network.
    """
    layers = [module for module in net.modules() if isinstance(module, Bayesian)]
    if layers:
        net.eval()
        for layer in layers:
            layer.train()
