"""`model.safetensors`: trained weights with the recipe in the file's own metadata, so that it stands alone."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from bitwright.errors import RunError
from bitwright.train.catalogue import build_network
from bitwright.train.config import Recipe, parse_recipe, write_recipe

MODEL = "model.safetensors"


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
    path, about, tensors = _read(path)
    missing = [key for key in ("recipe", "shape", "label_names") if key not in about]
    if missing:
        raise RunError(f"{path}: its metadata has no {missing[0]!r}; it was not written by a training run.")
    recipe = parse_recipe(about["recipe"], where=f"the recipe in {path}")
    net = build_network(recipe)
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        raise RunError(f"{path}: its weights do not fit the network of its recipe: {error}") from error
    height, width, channels = json.loads(about["shape"])
    return TrainedModel(net.eval(), recipe, (height, width, channels), tuple(json.loads(about["label_names"])))


def load_start(net: nn.Module, path: str | Path) -> None:
    """Fill a network with weights trained before: of a float network, or of an earlier stage.

    What the method adds to a layer may be missing in the file, and what another method added there is left out.

    Args:
        net: The network; it receives the weights.
        path: A safetensors file, or a run folder that holds one.

    Raises:
        RunError: If there is no such file, or its weights do not fit.
    """
    path, _, tensors = _read(path)
    own = net.state_dict().keys()
    fits = {*own, *(name.replace(".wrapped.", ".") for name in own)}  # learned before the network was pruned
    fitting = {name: value for name, value in tensors.items() if name in fits or not _is_added(name)}
    try:
        net.load_state_dict(fitting)
    except RuntimeError as error:
        raise RunError(f"{path}: its weights do not fit the recipe's network: {' '.join(str(error).split())}") from None


def _is_added(name: str) -> bool:
    inside = any(f".{part}." in f".{name}" for part in ("weight_binarizer", "input_binarizer", "rescale"))
    return inside or name.rpartition(".")[2] in ("rho", "prior_mean")  # of a Bayesian layer


def _read(path: str | Path) -> tuple[Path, dict[str, str], dict[str, torch.Tensor]]:
    """The file itself, what it says about itself, and its tensors."""
    path = Path(path)
    path = path / MODEL if path.is_dir() else path
    if not path.is_file():
        raise RunError(f"{path} not found: a run folder has it once training has finished at least one epoch.")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
            return path, file.metadata() or {}, tensors
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: not a whole safetensors file: {error}.") from error
