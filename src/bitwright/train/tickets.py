"""Masks from a network that was trained before, for one that starts over: the key `by` of the table [pruning]."""

from torch import nn

from bitwright.errors import RecipeError
from bitwright.sparse import choose_masks, permute_masks, pruned_layers, set_masks
from bitwright.train.model_file import load_model
from bitwright.train.optional_tables import Pruning
from bitwright.train.pruning import criterion_of, prune_by


def take_masks(settings: Pruning, net: nn.Module) -> None:
    """Prune a network by the weights of another, which may have learned something else.

    Args:
        settings: The recipe's table; without `by` nothing happens.
        net: The network, with the weights that it starts from; it is changed in place.

    Raises:
        RecipeError: If the other network has other layers.
        RunError: If there is no such run.
    """
    if not settings.by:
        return
    other = load_model(settings.by)
    if not pruned_layers(other.net):
        prune_by(settings, other.net, other.recipe.pretext)
    masks = choose_masks(other.net, criterion_of(settings), settings.density)
    masks = permute_masks(masks) if settings.shuffle else masks
    try:
        set_masks(net, masks)
    except ValueError as error:
        raise RecipeError(f"pruning.by: {settings.by}: {error}") from None
