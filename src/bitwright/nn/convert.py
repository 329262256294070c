"""Making layers of an ordinary network binary: `binarize` in place, `binarize_parameter` for layers we do not own."""

import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.utils import parametrize

from bitwright.core.levels import has_digits
from bitwright.core.method import Method
from bitwright.nn.gated import GatedConv2d
from bitwright.nn.layers import BinaryConv2d, BinaryLinear

Layer = nn.Conv2d | nn.Linear
_BINARY = {nn.Conv2d: BinaryConv2d, nn.Linear: BinaryLinear}
_KEEPS_SIGN = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Flatten, nn.Dropout, nn.Dropout2d, nn.Identity)

M = TypeVar("M", bound=nn.Module)
Where = Callable[[str, nn.Module], bool] | Collection[str]


def binarize(module: M, method: Method, where: Where | None = None) -> M:
    """Make inner layers of a network binary, in place.

    The layers chosen change their class to BinaryConv2d, GatedConv2d where the method has a gate, or BinaryLinear, and
    gain what the method makes. The module, the layers, their names, Parameters and state-dict keys remain, so float
    checkpoints load and existing optimizers go on working. Parameters that the method adds (the levels of `sbnn`) are
    new: make the optimizer afterwards.

    Only layers whose class is exactly nn.Conv2d or nn.Linear are eligible: subclasses may compute something else.

    A network may say itself how named layers read their input, whatever the method: a mapping `input_binarizers` from
    names to what makes the binarizer, nn.Identity for weights that multiply a real input.

    Args:
        module: any nn.Module.
        method: what makes the binarizers, for example `bw.methods.sbnn()`.
        where: which layers: their names, or a predicate of name and layer. By default those not named in the module's
            `real_layers`, if it has that attribute; otherwise all but the first and the last that it defines.

    Returns:
        The same module.

    Raises:
        TypeError: the method is not a Method.
        ValueError: no layer is chosen, or one that does not exist, is binary already or cannot be binary.

    Example:
        >>> from bitwright.methods import bi_real_net
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(8, 2))
        >>> type(binarize(net, bi_real_net())[1]).__name__
        'BinaryConv2d'
    """
    _check_method(method)
    chosen = _choose(module, where)
    for name, layer in chosen.items():
        _check_layer(name, layer)
    own: Mapping[str, Callable[[], nn.Module]] = getattr(module, "input_binarizers", {})
    added = [_parts(method, name, layer, own.get(name)) for name, layer in chosen.items()]
    for layer, parts in zip(chosen.values(), added, strict=True):
        kind: Any = GatedConv2d if "gate" in parts else _BINARY[type(layer)]
        layer.__class__ = kind
        for part, made in parts.items():
            setattr(layer, part, None if made is None else made.to(layer.weight.device).train(layer.training))
    _warn_of_constant_inputs(module, chosen)
    return module


def binarize_parameter(module: nn.Module, name: str, binarizer: nn.Module) -> nn.Module:
    """Binarize one parameter of a layer that stays what it is, in place, by `torch.nn.utils.parametrize`.

    Reading `module.<name>` then gives the binarized tensor; the latent one is trained, and the three verbs reach its
    binarizer. The state-dict key becomes `parametrizations.<name>.original`. Such a layer is not lowered to bits.

    Args:
        module: the layer.
        name: of the parameter, its first axis the output channels.
        binarizer: the weight binarizer, for example `method.weight(module)`.

    Returns:
        The same module.

    Raises:
        ValueError: the module has no such parameter, or is a torch recurrent layer, which reads its weights elsewhere.
    """
    if isinstance(module, nn.RNNBase):
        raise ValueError(f"{type(module).__name__} keeps its own list of weights and would not see the binarized one")
    found = dict(module.named_parameters(recurse=False))
    if name not in found:
        raise ValueError(f"{type(module).__name__} has no parameter {name!r}; it has {', '.join(found) or 'none'}")
    parametrize.register_parametrization(module, name, binarizer.to(found[name].device))
    return module


def _parts(method: Method, name: str, layer: Layer, own: Callable[[], nn.Module] | None) -> dict[str, nn.Module | None]:
    """What a layer gains; with an input binarizer of its own, only the weight is the method's."""
    if own is not None:
        return {"weight_binarizer": method.weight(layer), "input_binarizer": own(), "rescale": None}
    rescale = method.rescale(layer) if method.rescale else None
    made = {"weight_binarizer": method.weight(layer), "input_binarizer": method.activation(layer), "rescale": rescale}
    if method.gate is None or not isinstance(layer, nn.Conv2d):
        return made
    if not has_digits(made["input_binarizer"]):
        raise ValueError(
            f"{name or 'the module'}: the method's gate needs activations of two planes, such as Planes; found "
            f"{type(made['input_binarizer']).__name__}"
        )
    return made | {"gate": method.gate(layer)}


def _check_method(method: object) -> None:
    if isinstance(method, Method):
        return
    if callable(method):
        name = getattr(method, "__name__", "it")
        raise TypeError(f"method: expected a Method, found the function {name}, which makes one: write {name}()")
    raise TypeError(f"method: expected a Method, such as bw.methods.sbnn(), found {type(method).__name__}")


def _choose(module: nn.Module, where: Where | None) -> dict[str, Layer]:
    eligible = (*_BINARY, *_BINARY.values(), GatedConv2d)
    layers = {n: m for n, m in module.named_modules() if isinstance(m, Layer) and type(m) in eligible}
    inside = tuple(f"{n}." for n, m in layers.items() if isinstance(m, BinaryConv2d | BinaryLinear))
    layers = {n: m for n, m in layers.items() if not n.startswith(inside)}  # what a method added stays as it is
    if callable(where):
        chosen = {n: m for n, m in layers.items() if where(n, m)}
    elif where is not None:
        chosen = _named(module, layers, [where] if isinstance(where, str) else where)
    elif (real := getattr(module, "real_layers", None)) is not None:
        _check_names(module, layers, real)
        chosen = {n: m for n, m in layers.items() if n not in set(real)}
    else:
        chosen = dict(list(layers.items())[1:-1])
    if not chosen:
        hint = (
            "none is chosen" if where is not None else "by default the first and the last one stay real; pass `where`"
        )
        count = f"{len(layers)} layers that are exactly nn.Conv2d or nn.Linear"
        raise ValueError(f"no layer to binarize: {type(module).__name__} has {count}, and {hint}")
    return chosen


def _check_names(module: nn.Module, layers: dict[str, Layer], names: Iterable[str]) -> None:
    modules = dict(module.named_modules())
    for name in names:
        if name not in modules:
            raise ValueError(f"{type(module).__name__} has no module {name!r}; its layers are {', '.join(layers)}")


def _named(module: nn.Module, layers: dict[str, Layer], names: Iterable[str]) -> dict[str, Layer]:
    _check_names(module, layers, names)
    for name in names:
        if name not in layers:
            kind = type(module.get_submodule(name)).__name__
            raise ValueError(f"{name}: expected exactly nn.Conv2d or nn.Linear, found {kind}")
    return {name: layers[name] for name in names}


def _check_layer(name: str, layer: Layer) -> None:
    where = f"{name or 'the module'} ({type(layer).__name__})"
    if isinstance(layer, BinaryConv2d | BinaryLinear):
        raise ValueError(f"{where} is binary already: binarize a network once, or name the other layers in `where`")
    if not layer.weight.is_floating_point():
        raise ValueError(f"{where}: expected a real weight, found {layer.weight.dtype}")
    if not isinstance(layer, nn.Conv2d):
        return
    if layer.padding_mode != "zeros":
        raise ValueError(
            f"{where} pads with padding_mode={layer.padding_mode!r}, expected 'zeros'. Pad in a layer of its own "
            "before the convolution, or leave it real: binarize(..., where=...)"
        )
    uneven = any(d * (k - 1) % 2 for d, k in zip(layer.dilation, layer.kernel_size, strict=True))
    if layer.padding == "same" and uneven:
        raise ValueError(f"{where}: padding='same' pads this kernel unevenly; expected equal padding on both sides")


def _warn_of_constant_inputs(module: nn.Module, chosen: dict[str, Layer]) -> None:
    """One warning for all chosen layers that a Sequential feeds with values the input binarizer cannot tell apart."""
    names: dict[nn.Module, str] = {layer: name for name, layer in chosen.items()}
    blind = []
    for parent in module.modules():
        if not isinstance(parent, nn.Sequential):
            continue
        after_relu = False
        for child in parent:
            if after_relu and isinstance(child, BinaryConv2d | BinaryLinear) and child in names and _is_blind(child):
                blind.append(names[child])
            after_relu = isinstance(child, nn.ReLU | nn.ReLU6) or (after_relu and isinstance(child, _KEEPS_SIGN))
    if blind:
        warnings.warn(
            f"{', '.join(blind)}: a ReLU comes before, so the sign of the input is +1 everywhere and the layer "
            "computes a constant. Remove the ReLU, or put nn.Hardtanh or a batch norm in its place.",
            UserWarning,
            stacklevel=3,
        )


@torch.no_grad()
def _is_blind(layer: BinaryConv2d | BinaryLinear) -> bool:
    width = layer.in_channels if isinstance(layer, nn.Conv2d) else layer.in_features
    positive = torch.linspace(0, 4, 9, device=layer.weight.device, dtype=layer.weight.dtype)
    x = positive.view(-1, *[1] * (3 if isinstance(layer, nn.Conv2d) else 1))
    codes = layer.input_binarizer(x.expand(-1, width, *x.shape[2:]))
    return bool((codes == codes[:1]).all())
