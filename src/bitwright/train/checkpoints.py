"""Networks that others trained and published, in our names, with a recipe that says what they are.

A file in torch's own format is read without running code from it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from bitwright.errors import RunError
from bitwright.train.catalogue import build_network
from bitwright.train.config import Recipe, parse_recipe
from bitwright.train.model_file import TrainedModel

_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR10_SETUP = """
batch = 128
keep = "last"
[data]
source = "cifar10:data"
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
[optimizer]
name = "sgd"
lr = 0.1
weight_decay = 1e-4
decay_on = "all"
[augmentation]
crop = 4
flip = true
"""


@dataclass(frozen=True)
class Published:
    """Where published weights fit.

    Attributes:
        about: A line for lists.
        settings: The recipe by which they were trained, as far as it is known, TOML.
        rename: Our name for one of theirs.
    """

    about: str
    settings: str
    rename: Callable[[str], str]

    @property
    def recipe(self) -> Recipe:
        """The recipe."""
        return parse_recipe(self.settings)


def import_checkpoint(name: str, path: str | Path) -> TrainedModel:
    """Read published weights into our network.

    Args:
        name: Which network, a key of `PUBLISHED`.
        path: The authors' file.

    Raises:
        RunError: If the name is unknown, the file cannot be read, or its tensors do not fit.
    """
    if name not in PUBLISHED:
        raise RunError(f"there is no published network {name!r}; there are {', '.join(PUBLISHED)}")
    published = PUBLISHED[name]
    recipe = published.recipe.resolve(mean=(), std=(), num_classes=10)
    net = build_network(recipe)
    tensors = {published.rename(key.removeprefix("module.")): value for key, value in _read(path).items()}
    own = net.state_dict()
    missing = [key for key in own if key not in tensors and not key.endswith("num_batches_tracked")]
    unknown = [key for key in tensors if key not in own]
    wrong = [key for key in own if key in tensors and own[key].shape != tensors[key].reshape(own[key].shape).shape]
    if missing or unknown or wrong:
        found = "; ".join(
            f"{what} {', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''}"
            for what, keys in (("lacks", missing), ("has besides", unknown), ("has in another shape", wrong))
            if keys
        )
        raise RunError(f"{path}: not the weights of {name}: it {found}.")
    net.load_state_dict({key: tensors[key].reshape(own[key].shape) if key in tensors else own[key] for key in own})
    return TrainedModel(net.eval(), recipe, (32, 32, 3), _CIFAR10)


def _read(path: str | Path) -> dict[str, Tensor]:
    if not Path(path).is_file():
        raise RunError(f"{path} not found.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise RunError(f"{path}: not a file of weights by torch.save: {' '.join(str(error).split())[:200]}") from None
    tensors = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise RunError(f"{path}: expected a state dict, or one under the key 'state_dict'.")
    return tensors


def _resnet20(parts: dict[str, str], convolutions: int) -> Callable[[str], str]:
    """Names of the widespread CIFAR ResNet: `layer1.0.conv1` and the like; `parts` are the names within a block."""

    def rename(name: str) -> str:
        match = re.fullmatch(r"layer([1-3])\.([0-2])\.(.*)", name)
        if match is None:
            head, _, tail = name.partition(".")
            return f"{_ENDS.get(head, head)}.{tail}"
        stage, block, rest = int(match[1]) - 1, int(match[2]), match[3]
        for theirs, ours in parts.items():
            rest = re.sub(theirs, ours, rest)
        if convolutions == 2:
            return f"blocks.{3 * stage + block}.{rest}"
        position = re.match(r"[a-z]+([12])", rest)
        assert position is not None
        return f"blocks.{6 * stage + 2 * block + int(position[1]) - 1}.{rest.replace(position[1], '', 1)}"

    return rename


_ENDS = {"conv1": "conv", "bn1": "bn", "nonlinear1": "act", "bn2": "head_bn", "linear": "classifier"}

PUBLISHED = {
    "adabin-resnet20": Published(
        "AdaBin ResNet-20 on CIFAR-10, one bit for weights and activations: 88.1 % by its authors",
        """
title = "AdaBin, ResNet-20 on CIFAR-10: the weights of its authors"
paper = "Tu, Chen, Ren and Wang, ECCV 2022 (arXiv 2208.08084)"
published = 0.881
epochs = 400
network = {name = "resnet20", shortcut = "subsample", nonlinearity = "maxout"}
method = {name = "ada_bin"}
"""
        + _CIFAR10_SETUP,
        _resnet20({r"binary_a\.alpha_a": "input_binarizer.alpha", r"binary_a\.beta_a": "input_binarizer.beta",
                   "nonlinear": "act"}, 1),
    ),
    "resnet20": Published(
        "float ResNet-20 on CIFAR-10: 91.73 %, by a widespread implementation",
        """
title = "ResNet-20 on CIFAR-10, real weights and activations"
paper = "He et al., CVPR 2016"
published = 0.9173
epochs = 200
network = {name = "resnet20", shortcut_every = 2, shortcut = "subsample", nonlinearity = "relu", head = "plain"}
method = {name = "none"}
"""
        + _CIFAR10_SETUP,
        _resnet20({}, 2),
    ),
}  # fmt: skip
