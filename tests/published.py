"""ResNet-20 as two authors wrote it, with random weights under the names of their files, and what it computes."""

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = dict[str, Tensor]

_STAGES = {1: (16, 16), 2: (16, 32), 3: (32, 64)}  # channels in and out of the first block


def adabin_weights(seed: int = 0) -> Weights:
    """AdaBin's network: convolutions with learned levels, Maxout, a batch norm before the linear layer."""
    random = torch.Generator().manual_seed(seed)
    weights = _resnet20(random)
    for name in [key for key in weights if key.endswith("conv1.weight") or key.endswith("conv2.weight")]:
        module = name.removesuffix(".weight")
        channels = len(weights[name])
        slopes = module.replace("conv", "nonlinear")
        weights[f"{slopes}.pos_scale"] = 0.5 + torch.rand(channels, generator=random)
        weights[f"{slopes}.neg_scale"] = torch.rand(channels, generator=random)
        if module != "conv1":
            weights[f"{module}.binary_a.alpha_a"] = 0.5 + torch.rand((), generator=random)
            weights[f"{module}.binary_a.beta_a"] = torch.rand((), generator=random) - 0.5
    return {**weights, **_norm("bn2", 64, random), **_linear(random)}


def adabin_logits(weights: Weights, x: Tensor) -> Tensor:
    """What the network of `adabin_weights` says of images (N, 3, H, W)."""

    def bend(y: Tensor, name: str) -> Tensor:
        up, down = (weights[f"{name}.{slope}"].view(1, -1, 1, 1) for slope in ("pos_scale", "neg_scale"))
        return up * F.relu(y) - down * F.relu(-y)

    def binary(y: Tensor, name: str, stride: int) -> Tensor:
        w, alpha, beta = (weights[f"{name}.{key}"] for key in ("weight", "binary_a.alpha_a", "binary_a.beta_a"))
        middle = w.mean((1, 2, 3), keepdim=True)
        half = (w - middle).square().mean((1, 2, 3), keepdim=True).sqrt()
        two_levels = middle + half * torch.sign(w - middle)
        return F.conv2d(alpha * (torch.sign((y - beta) / alpha) + beta), two_levels, None, stride, 1)

    y = bend(_normalise(F.conv2d(x, weights["conv1.weight"], None, 1, 1), weights, "bn1"), "nonlinear1")
    for block, stride in _blocks():
        for half, step in ((1, stride), (2, 1)):
            made = _normalise(binary(y, f"{block}.conv{half}", step), weights, f"{block}.bn{half}")
            y = bend(made + _around(y, step), f"{block}.nonlinear{half}")
    return _classify(_normalise(y.mean((2, 3)), weights, "bn2"), weights)


def float_weights(seed: int = 0) -> Weights:
    """The float network, whose file is older than the counters of batch norm."""
    random = torch.Generator().manual_seed(seed)
    weights = {**_resnet20(random), **_linear(random)}
    return {name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}


def float_logits(weights: Weights, x: Tensor) -> Tensor:
    """What the network of `float_weights` says of images (N, 3, H, W)."""

    def layer(y: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        return _normalise(F.conv2d(y, weights[f"{conv}.weight"], None, stride, 1), weights, norm)

    y = F.relu(layer(x, "conv1", "bn1"))
    for block, stride in _blocks():
        inner = F.relu(layer(y, f"{block}.conv1", f"{block}.bn1", stride))
        y = F.relu(layer(inner, f"{block}.conv2", f"{block}.bn2") + _around(y, stride))
    return _classify(y.mean((2, 3)), weights)


def _blocks() -> list[tuple[str, int]]:
    return [
        (f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1) for stage in (1, 2, 3) for block in (0, 1, 2)
    ]


def _resnet20(random: torch.Generator) -> Weights:
    weights = {"conv1.weight": _conv(3, 16, random), **_norm("bn1", 16, random)}
    for stage, (inputs, outputs) in _STAGES.items():
        for block in range(3):
            for half in (1, 2):
                own = inputs if block == 0 and half == 1 else outputs
                weights[f"layer{stage}.{block}.conv{half}.weight"] = _conv(own, outputs, random)
                weights |= _norm(f"layer{stage}.{block}.bn{half}", outputs, random)
    return weights


def _conv(inputs: int, outputs: int, random: torch.Generator) -> Tensor:
    return torch.randn(outputs, inputs, 3, 3, generator=random) / (9 * inputs) ** 0.5


def _norm(name: str, channels: int, random: torch.Generator) -> Weights:
    return {
        f"{name}.weight": 0.5 + torch.rand(channels, generator=random),
        f"{name}.bias": torch.randn(channels, generator=random) / 4,
        f"{name}.running_mean": torch.randn(channels, generator=random) / 4,
        f"{name}.running_var": 0.5 + torch.rand(channels, generator=random),
        f"{name}.num_batches_tracked": torch.tensor(7),
    }


def _linear(random: torch.Generator) -> Weights:
    weight = torch.randn(10, 64, generator=random) / 8
    return {"linear.weight": weight, "linear.bias": torch.randn(10, generator=random)}


def _normalise(y: Tensor, weights: Weights, name: str) -> Tensor:
    mean, var, scale, shift = (weights[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(y, mean, var, scale, shift)


def _around(y: Tensor, stride: int) -> Tensor:
    if stride == 1:
        return y
    half = y.shape[1] // 2
    return F.pad(y[:, :, ::2, ::2], (0, 0, 0, 0, half, half))


def _classify(y: Tensor, weights: Weights) -> Tensor:
    return F.linear(y, weights["linear.weight"], weights["linear.bias"])
