"""Counting: binary and real weights, operations and memory of a network, by the rules of the papers."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bitwright.core.hooks import latent_weights
from bitwright.nn.layers import BinaryConv2d, BinaryLinear
from bitwright.nn.modes import evaluating


@dataclass(frozen=True)
class LayerCount:
    """What one module holds and costs.

    Attributes:
        name: Its path in the network.
        kind: Its class.
        binary_weights: Latent weights, each one bit in the packed network.
        real_weights: All other parameters: real weights, biases, batch norms, slopes, thresholds.
        bops: Binary multiply-adds for one sample.
        flops: Real multiply-adds for one sample.
    """

    name: str
    kind: str
    binary_weights: int
    real_weights: int
    bops: int
    flops: int


@dataclass(frozen=True)
class Count:
    """A network in numbers; the totals are sums over its layers.

    Attributes:
        layers: The modules that hold parameters or multiply, in the order of the network.
    """

    layers: tuple[LayerCount, ...]

    @property
    def binary_weights(self) -> int:
        """Latent weights, each one bit in the packed network."""
        return sum(layer.binary_weights for layer in self.layers)

    @property
    def real_weights(self) -> int:
        """All other parameters."""
        return sum(layer.real_weights for layer in self.layers)

    @property
    def bops(self) -> int:
        """Binary multiply-adds for one sample."""
        return sum(layer.bops for layer in self.layers)

    @property
    def flops(self) -> int:
        """Real multiply-adds for one sample."""
        return sum(layer.flops for layer in self.layers)

    @property
    def ops(self) -> float:
        """BOPs / 64 + FLOPs."""
        return self.bops / 64 + self.flops

    @property
    def memory_bits(self) -> int:
        """1 bit for each binary weight, 32 for every other parameter."""
        return self.binary_weights + 32 * self.real_weights

    def __str__(self) -> str:
        """One line for each layer, and the totals."""
        width = max([len(layer.name) for layer in self.layers] + [len("total")])
        rows = [(x.name, x.binary_weights, x.real_weights, x.bops, x.flops) for x in self.layers]
        rows.append(("total", self.binary_weights, self.real_weights, self.bops, self.flops))
        lines = [f"{'':{width}} {'binary':>12} {'real':>12} {'BOPs':>15} {'FLOPs':>15}"]
        lines += [f"{name:{width}} {b:12,} {r:12,} {bops:15,} {flops:15,}" for name, b, r, bops, flops in rows]
        return "\n".join([*lines, f"{self.ops:,.0f} OPs, {self.memory_bits:,} bits of memory"])


def count(net: nn.Module, example: Tensor) -> Count:
    """Count what a network holds and what it costs to run on one sample.

    OPs = BOPs / 64 + FLOPs; memory = 32 * real + binary bits. Multiply-adds are those of convolutions and linear
    layers, output pixels x taps of a filter x filters, taps outside the image counted like the others; they are binary
    where weight and input are. Of activations of two planes the first is counted: how much of the second gates let pass
    depends on the data, see `nn.gated.average_bits`. Pooling and elementwise operations are not counted. Parameters of
    a weight binarizer are not either: the packed weight contains them.

    The network runs once, in eval mode and without gradients, and is left as it was found.

    Shape:
        example: (N, ...), what the network takes, N of 1 or more.

    Args:
        net: The network, binarized or not.
        example: Any input; only its shape matters.

    Example:
        >>> import bitwright as bw
        >>> net = bw.binarize(bw.zoo.resnet20(), bw.methods.bi_real_net())
        >>> found = count(net, torch.zeros(1, 3, 32, 32))
        >>> found.binary_weights, found.bops
        (267264, 40108032)

    Reference:
        Liu et al., "Bi-Real Net: Enhancing the Performance of 1-bit CNNs", ECCV 2018, section 4.3, for both rules.
    """
    binary = {id(weight): weight.numel() for _, weight in latent_weights(net)}
    frozen = {part for binarizer, _ in latent_weights(net) for part in binarizer.modules()}
    bops, flops = _multiply_adds(net, example, frozen)
    layers = []
    seen: set[int] = set()
    for name, module in net.named_modules():
        own = [] if module in frozen else [p for p in module.parameters(recurse=False) if id(p) not in seen]
        seen.update(id(p) for p in own)
        bits = sum(binary.get(id(p), 0) for p in own)
        found = (bits, sum(p.numel() for p in own) - bits, bops.get(module, 0), flops.get(module, 0))
        if any(found):
            layers.append(LayerCount(name, type(module).__name__, *found))
    return Count(tuple(layers))


def _multiply_adds(
    net: nn.Module, example: Tensor, frozen: set[nn.Module]
) -> tuple[dict[nn.Module, int], dict[nn.Module, int]]:
    """Binary and real multiply-adds of each layer for one sample, over all its calls."""
    bops: dict[nn.Module, int] = {}
    flops: dict[nn.Module, int] = {}

    def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        filters = len(layer.weight)
        total = bops if _is_binary(layer) else flops
        total[layer] = total.get(layer, 0) + output[0].numel() * (layer.weight.numel() // filters)

    counted = (m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear) and m not in frozen)
    hooks = [layer.register_forward_hook(add) for layer in counted]
    try:
        with evaluating(net), torch.no_grad():
            net(example)
    finally:
        for hook in hooks:
            hook.remove()
    return bops, flops


def _is_binary(layer: nn.Module) -> bool:
    return isinstance(layer, BinaryConv2d | BinaryLinear) and not isinstance(layer.input_binarizer, nn.Identity)
