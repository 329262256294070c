"""Pruning a network: which layers get masks, and how they take them."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from torch import Tensor, nn
from torch.nn.utils import parametrize

from bitwright.core.masked import Fill, Masked
from bitwright.nn.convert import Where
from bitwright.nn.gated import GatedConv2d
from bitwright.nn.layers import BinaryConv2d, BinaryLinear
from bitwright.sparse.masks import pruned_layers
from bitwright.sparse.pruner import Criterion, Pruner
from bitwright.sparse.schedule import Constant, Schedule

M = TypeVar("M", bound=nn.Module)


def prune(
    net: M,
    criterion: Criterion,
    density: float | Schedule,
    *,
    where: Where | None = None,
    fill: Fill = "majority",
    regrow: bool = False,
    freeze: float = 1.0,
    now: bool = True,
) -> M:
    """Prune layers of a network, in place, with any method and any two levels: w_hat = m * q(w) + (1 - m) * fill.

    Binary layers keep their names, Parameters and latent weights; the masks are buffers of their weight binarizers. A
    real layer is pruned by a parametrization, whose pruned weights are 0: its key in the state dict becomes
    `parametrizations.weight.original`. Masks follow the schedule as `bw.set_progress` and `bw.after_step` are called.

    A method that counts latent weights, as `sbnn` does against its budget, wants pruned ones at a level, not at zero.

    Args:
        net: the network, after `binarize`, and with the weights that are to be judged.
        criterion: what is pruned, such as `Magnitude()`.
        density: the share of weights, or of filters or kernels, that is kept; or its schedule.
        where: which layers: their names, or a predicate of name and layer. By default all binary layers; where there
            are none, all but the last convolution or linear layer that the network defines.
        fill: what a pruned binary weight becomes, see `core.masked.Masked`.
        regrow: whether pruned weights go on training and may return.
        freeze: the share of training after which masks stay as they are.
        now: whether to prune at once to what the schedule says of the start; else after the first step.

    Returns:
        The same network.

    Raises:
        ValueError: no layer is chosen, or one that does not exist, or cannot be pruned.

    Example:
        >>> import bitwright as bw
        >>> net = bw.binarize(bw.zoo.resnet20(), bw.methods.bi_real_net())
        >>> round(bw.sparse.density_of(prune(net, bw.sparse.Magnitude(), 0.1)), 3)
        0.1
    """
    chosen = _choose(net, where)
    for name, layer in chosen.items():
        _check_layer(name, layer, fill)
    pruner = Pruner(
        criterion, Constant(density) if isinstance(density, int | float) else density, regrow=regrow, freeze=freeze
    )
    for layer in chosen.values():
        binary = isinstance(layer, BinaryConv2d | BinaryLinear)
        inner = layer.get_submodule("weight_binarizer") if binary else nn.Identity()
        masked = Masked(inner, layer.weight.shape, fill if binary else "zero", regrow=regrow, rule=pruner)
        masked.to(layer.weight.device).train(layer.training)
        pruner.members.append(masked)
        if binary:
            layer.weight_binarizer = masked
        else:
            parametrize.register_parametrization(layer, "weight", masked)
    if now:
        weights = {masked: weight for masked, weight in pruned_layers(net).values()}
        pruner.update([weights[member] for member in pruner.members])
    return net


def set_masks(net: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Give layers masks that were made elsewhere.

    Layers that `prune` has not chosen before are wrapped first, with fill "majority"; no schedule moves them.

    Args:
        net: the network.
        masks: by the layers' names; true, or not 0, where a weight is kept.

    Raises:
        ValueError: there is no such layer, it cannot be pruned, or a mask's shape is not the weight's.
    """
    missing = [name for name in masks if name not in pruned_layers(net)]
    if missing:
        prune(net, _as_given, 1.0, where=missing)
    layers = pruned_layers(net)
    for name, mask in masks.items():
        masked, weight = layers[name]
        if mask.shape != weight.shape:
            raise ValueError(f"{name}: expected a mask of shape {tuple(weight.shape)}, found {tuple(mask.shape)}")
        masked.set_mask(mask, weight)


def _as_given(weights: Sequence[Tensor], kept: Sequence[Tensor], density: float) -> Sequence[Tensor]:
    """The criterion of layers whose masks come from elsewhere."""
    return kept


def _choose(net: nn.Module, where: Where | None) -> dict[str, nn.Conv2d | nn.Linear]:
    inside = tuple(f"{n}." for n, m in net.named_modules() if isinstance(m, BinaryConv2d | BinaryLinear))
    layers = {n: m for n, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear) and not n.startswith(inside)}
    if callable(where):
        chosen = {n: m for n, m in layers.items() if where(n, m)}
    elif where is not None:
        chosen = _named(net, layers, [where] if isinstance(where, str) else where)
    else:
        binary = [n for n, m in layers.items() if isinstance(m, BinaryConv2d | BinaryLinear)]
        chosen = {n: layers[n] for n in binary or [*layers][:-1]}
    if not chosen:
        raise ValueError(f"no layer to prune: {type(net).__name__} has {len(layers)} of them, and none is chosen")
    return chosen


def _named(
    net: nn.Module, layers: dict[str, nn.Conv2d | nn.Linear], names: Collection[str]
) -> dict[str, nn.Conv2d | nn.Linear]:
    for name in names:
        if name not in layers:
            raise ValueError(f"{type(net).__name__} has no convolution or linear layer {name!r}; it has {[*layers]}")
    return {name: layers[name] for name in names}


def _check_layer(name: str, layer: nn.Conv2d | nn.Linear, fill: Fill) -> None:
    where = f"{name or 'the module'} ({type(layer).__name__})"
    binarizer = getattr(layer, "weight_binarizer", None)
    if isinstance(binarizer, Masked) or parametrize.is_parametrized(layer, "weight"):
        raise ValueError(f"{where} is pruned or parametrized already; change its mask by set_masks")
    if isinstance(binarizer, nn.Identity):
        raise ValueError(f"{where}: its weight stays real in this stage of training; prune it where it is binary")
    if isinstance(layer, GatedConv2d) and fill == "zero":
        raise ValueError(f"{where}: a gated layer has no exact zeros; expected fill 'majority' or 'low'")
