"""A trained network counted by every rule of the papers."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from bitwright.core.levels import read_levels
from bitwright.core.masked import Masked, Ternary
from bitwright.ir.parts import BinaryWeights, Parts, RealLayer, symbols_of
from bitwright.ir.rules import RuleCounts, apply_rules
from bitwright.nn.count import count
from bitwright.nn.layers import BinaryConv2d, BinaryLinear
from bitwright.nn.modes import evaluating


def count_by_rules(net: nn.Module, example: Tensor) -> RuleCounts:
    """Count a network's operations, parameters and memory by each rule of the papers, weights binarized as they are.

    `bitwright.ir.rules.RULES` names the rules, with formula and source; `bw inspect FILE --rules` shows the same of a
    packed file. What is counted, and how often, is as in `bw.count`, whose figures are those of the rules "dense"
    and "multiply_adds".

    Shape:
        example: (N, ...), what the network takes, N of 1 or more.

    Args:
        net: The network, binarized or not; left as it was found.
        example: Any input; only its shape matters.

    Raises:
        LoweringError: If a binarized weight holds more than two values a filter, or three where one is an exact zero.

    Example:
        >>> import bitwright as bw
        >>> net = bw.binarize(bw.zoo.resnet20(), bw.methods.sbnn_v1())
        >>> found = count_by_rules(net, torch.zeros(1, 3, 32, 32))
        >>> found.bops["fine_grained"] < found.bops["dense"] == 40108032
        True

    Reference:
        Liu et al. (Bi-Real Net), ECCV 2018; Liu et al. (ReActNet), ECCV 2020; Schiavone et al. (SBNN), ECML PKDD 2023;
        Wang et al. (Sub-bit), ICCV 2021; Diffenderfer and Kailkhura (multi-prize tickets), ICLR 2021; Lin et al.
        (NAS-BNN), arXiv 2408.15484.
    """
    found = count(net, example)
    bops = {layer.name: layer.bops for layer in found.layers}
    with evaluating(net), torch.no_grad():
        binary = tuple(
            _binary(name, binarizer, latent, bops.get(name, 0), getattr(net.get_submodule(name), "groups", 1))
            for name, binarizer, latent in _binarized(net)
        )
    real = []
    for layer in found.layers:
        module = net.get_submodule(layer.name)
        if layer.flops and isinstance(module, nn.Conv2d | nn.Linear):
            biases = 0 if module.bias is None else len(module.bias)
            real.append(RealLayer(layer.name, layer.flops, isinstance(module, nn.Conv2d), biases))
    return apply_rules(Parts(binary, tuple(real), found.real_weights, 32 * found.real_weights))


def _binarized(net: nn.Module) -> Iterator[tuple[str, nn.Module, Tensor]]:
    """The name of every binary layer, or parametrized parameter, with its binarizer and its latent weight."""
    for name, module in net.named_modules():
        if isinstance(module, BinaryConv2d | BinaryLinear):
            binarizer, latent = module.weight_binarizer, module.weight
        elif isinstance(module, ParametrizationList) and len(module) == 1:
            binarizer, latent = module[0], module.get_parameter("original")
        else:
            continue
        if not isinstance(binarizer.wrapped if isinstance(binarizer, Masked) else binarizer, nn.Identity):
            yield name, binarizer, latent


def _binary(name: str, binarizer: nn.Module, latent: Tensor, bops: int, groups: int) -> BinaryWeights:
    pixels = bops // latent.numel()
    weight = binarizer(latent)
    if isinstance(binarizer, Ternary) and binarizer.ternary:
        high, low = (symbols_of((plane != 0).cpu().numpy(), zero=True) for plane in binarizer.planes(latent))
        return BinaryWeights(name, high + 2 * low, pixels, groups)
    levels = read_levels(weight)
    offset = levels.kind != "zero_one"
    return BinaryWeights(name, symbols_of(levels.bits.cpu().numpy(), zero=not offset), pixels, groups, offset)
