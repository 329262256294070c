"""Files of weights: safetensors, and what `torch.save` writes, read as data: what is in it besides cannot run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bitwright.errors import RunError

MODEL = "model.safetensors"


@dataclass(frozen=True, eq=False)
class Weights:
    """What a file holds.

    Attributes:
        path: The file.
        about: What it says about itself: `recipe`, and more, if a run of ours wrote it.
        tensors: By their names.
    """

    path: Path
    about: dict[str, str]
    tensors: dict[str, Tensor]


def read_weights(path: str | Path) -> Weights:
    """Read a safetensors file, or any other as one of `torch.save`: of tensors, or of a checkpoint of a run.

    Prefixes of networks that were trained on several devices, or in a run's task, are taken off the names.

    Args:
        path: The file, or a run folder, which stands for the `model.safetensors` in it.

    Raises:
        RunError: If there is no such file, or it is neither.
    """
    path = Path(path)
    folder = path.is_dir()
    path = path / MODEL if folder else path
    if not path.is_file():
        hint = ": a run folder has it once training has finished at least one epoch" if folder else ""
        raise RunError(f"{path} not found{hint}.")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes lead the unpickler to errors of any kind
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise RunError(f"{path}: not a whole file of weights as torch.save writes it: {reason}") from error
    tensors = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(tensors, dict) or not all(_is_named_tensor(entry) for entry in tensors.items()):
        raise RunError(f"{path}: expected tensors by their names, or such a dict under the key 'state_dict'.")
    recipe = content.get("recipe")
    about, prefix = ({"recipe": recipe}, "net.") if isinstance(recipe, str) else ({}, "module.")
    return Weights(path, about, {key.removeprefix(prefix): value for key, value in tensors.items()})


def _read_safetensors(path: Path) -> Weights:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
            return Weights(path, file.metadata() or {}, tensors)
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: not a whole safetensors file: {error}.") from error


def _is_named_tensor(entry: tuple[Any, Any]) -> bool:
    return isinstance(entry[0], str) and isinstance(entry[1], Tensor)
