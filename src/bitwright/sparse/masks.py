"""Masks of a network by the layers' names: which weights are kept."""

from torch import Tensor, nn
from torch.nn.utils import parametrize

from bitwright.core.masked import Masked


def pruned_layers(net: nn.Module) -> dict[str, tuple[Masked, nn.Parameter]]:
    """The masks of a network with the latent weights they lie on, by the layers' names."""
    found: dict[str, tuple[Masked, nn.Parameter]] = {}
    for name, module in net.named_modules():
        if isinstance(masked := getattr(module, "weight_binarizer", None), Masked):
            found[name] = masked, module.get_parameter("weight")
        elif parametrize.is_parametrized(module, "weight"):
            listed = module.get_submodule("parametrizations.weight")
            if isinstance(masked := listed.get_submodule("0"), Masked):
                found[name] = masked, listed.get_parameter("original")
    return found


def masks_of(net: nn.Module) -> dict[str, Tensor]:
    """A copy of each mask, by the layer's name: true where a weight is kept, in the weight's shape."""
    return {name: masked.mask.clone() for name, (masked, _) in pruned_layers(net).items()}


def density_of(net: nn.Module) -> float:
    """The share of weights that is kept, over all pruned layers; 1 where there are none."""
    masks = [masked.mask for masked, _ in pruned_layers(net).values()]
    return sum(int(mask.sum()) for mask in masks) / max(sum(mask.numel() for mask in masks), 1) if masks else 1.0
