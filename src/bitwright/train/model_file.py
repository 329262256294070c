"""`model.safetensors`: trained weights with the recipe in the file's own metadata, so that it stands alone."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from bitwright.errors import RunError
from bitwright.pretext.heads import in_head
from bitwright.train.catalogue import build_network
from bitwright.train.config import Recipe, parse_recipe, write_recipe
from bitwright.train.detection import body_weights
from bitwright.train.optional_tables import CLASSIFIED, LABELS, Detection, Pretext
from bitwright.train.weights import MODEL as MODEL
from bitwright.train.weights import Weights, read_weights

_MASKED = "parametrizations.weight"


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained network and what is needed to use it.

    Attributes:
        net: In eval mode, on the CPU.
        recipe: As it was resolved for the run; `recipe.data` holds the data set, mean and std.
        shape: Height, width and channels of an image.
        label_names: Of the classes, in order.
    """

    net: nn.Module
    recipe: Recipe
    shape: tuple[int, int, int]
    label_names: tuple[str, ...]

    @property
    def example(self) -> torch.Tensor:
        """A normalised input, all zeros, of one image: (1, C, H, W) float32."""
        height, width, channels = self.shape
        return torch.zeros(1, channels, height, width)


def save_model(model: TrainedModel, path: Path) -> None:
    """Write the file, under another name first, so that it is whole or absent.

    Args:
        model: The network and its recipe.
        path: The file.
    """
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in model.net.state_dict().items()}
    about = {
        "format": "pt",
        "recipe": write_recipe(model.recipe),
        "shape": json.dumps(model.shape),
        "label_names": json.dumps(model.label_names),
    }
    partial = path.with_suffix(".partial")
    try:
        save_file(tensors, partial, metadata=about)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load_model(path: str | Path) -> TrainedModel:
    """Read a model back: build its recipe's network, binarize it, and fill in the weights.

    Args:
        path: The file, or the run folder that holds it.

    Raises:
        RunError: If there is no such file, or it was not written by `save_model`.
        RecipeError: If its recipe names a function that is not there.
    """
    weights = read_weights(path)
    about = weights.about
    missing = [key for key in ("recipe", "shape", "label_names") if key not in about]
    if missing:
        raise RunError(f"{weights.path}: its metadata has no {missing[0]!r}; it was not written by a training run.")
    recipe = parse_recipe(about["recipe"], where=f"the recipe in {weights.path}")
    net = build_network(recipe)
    fill(net, weights, "the network of its recipe")
    height, width, channels = json.loads(about["shape"])
    return TrainedModel(net.eval(), recipe, (height, width, channels), tuple(json.loads(about["label_names"])))


def load_start(net: nn.Module, path: str | Path, pretext: Pretext = LABELS, detection: Detection = CLASSIFIED) -> None:
    """Fill a network with weights trained before: of a float network, or of an earlier stage.

    What the method adds to a layer may be missing in the file, and what another method added there is left out. After
    another pretext the body alone takes its weights; the head keeps the fresh ones that it has. So does the body of a
    detector, after anything but detection.

    Args:
        net: The network; it receives the weights.
        path: A file of weights, or a run folder that holds one: see `weights.read_weights`.
        pretext: What the network is going to learn.
        detection: What it is going to find.

    Raises:
        RunError: If there is no such file, or its weights do not fit.
    """
    weights = read_weights(path)
    tensors, about = weights.tensors, weights.about
    before = parse_recipe(about["recipe"], where=f"the recipe in {path}") if "recipe" in about else None
    if detection.size and not (before and before.detection.size):
        tensors = body_weights(net, tensors)
    elif before and before.pretext.name != pretext.name:
        head = {name: value for name, value in net.state_dict().items() if in_head(net, name)}
        tensors = {name: value for name, value in tensors.items() if not in_head(net, name)} | head
    own = net.state_dict()
    tensors = _masked_since(own, tensors)
    if lost := [name for name in tensors if name.endswith(".mask") and name not in own]:
        raise RunError(
            f"{weights.path}: its layers are pruned ({lost[0]}, ...), those of the recipe are not; take the masks over "
            'by pruning = {name = "magnitude", by = ...}'
        )
    fits = {*own, *(name.replace(".wrapped.", ".") for name in own)}  # learned before the network was pruned
    fitting = {name: value for name, value in tensors.items() if name in fits or not _is_added(name)}
    fill(net, replace(weights, tensors=fitting), "the recipe's network")


def fill(net: nn.Module, weights: Weights, whose: str) -> None:
    """Give a network the weights of a file, all of them.

    Args:
        net: The network.
        weights: The file.
        whose: What the network is, for the message.

    Raises:
        RunError: If they do not fit.
    """
    try:
        net.load_state_dict(weights.tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise RunError(f"{weights.path}: its weights do not fit {whose}: {reason}") from None


def _masked_since(own: dict[str, torch.Tensor], tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors of real layers under the names that they have in a network with masks, if it has them and they do not."""
    tensors = dict(tensors)
    for layer in {name.partition(f".{_MASKED}.")[0] for name in own if f".{_MASKED}." in name}:
        if (weight := tensors.pop(f"{layer}.weight", None)) is not None:
            inside = f"{layer}.{_MASKED}."
            tensors.update({name: value for name, value in own.items() if name.startswith(inside)})
            tensors[f"{inside}original"] = weight
    return tensors


def _is_added(name: str) -> bool:
    inside = any(f".{part}." in f".{name}" for part in ("weight_binarizer", "input_binarizer", "rescale"))
    return inside or name.rpartition(".")[2] in ("rho", "prior_mean")  # of a Bayesian layer
