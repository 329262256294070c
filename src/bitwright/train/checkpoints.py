"""Networks that others trained and published: their weights in our network, with a recipe that says what it is."""

from dataclasses import dataclass
from pathlib import Path

from bitwright.errors import RunError
from bitwright.train.catalogue import build_network
from bitwright.train.config import parse_recipe
from bitwright.train.model_file import TrainedModel
from bitwright.train.weights import read_weights

_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR10_SETUP = """
batch = 128
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
    """Published weights, and where they fit.

    Attributes:
        about: A line for lists.
        settings: The recipe by which their authors trained them, as TOML.
        names: Their name of each of our modules and tensors that have another one there; what lies in a module
            keeps its own name.
    """

    about: str
    settings: str
    names: dict[str, str]

    def their_name(self, name: str) -> str:
        """What a tensor of ours is called in their file.

        Args:
            name: Its key in our state dict.
        """
        module, inside = name, ""
        while module not in self.names and "." in module:
            module, _, part = module.rpartition(".")
            inside = f".{part}{inside}"
        return self.names.get(module, module) + inside


def import_checkpoint(name: str, path: str | Path) -> TrainedModel:
    """Read published weights into our network.

    Args:
        name: Which network, a key of `PUBLISHED`.
        path: The authors' file, written by `torch.save`.

    Raises:
        RunError: If the name is unknown, the file cannot be read, or its tensors do not fit.
    """
    if name not in PUBLISHED:
        raise RunError(f"there is no published network {name!r}; there are {', '.join(PUBLISHED)}")
    published, theirs = PUBLISHED[name], read_weights(path).tensors
    recipe = parse_recipe(published.settings).resolve(mean=(), std=(), num_classes=len(_CIFAR10), in_channels=3)
    net = build_network(recipe)
    ours = {published.their_name(key): (key, value) for key, value in net.state_dict().items()}
    counters = {key for key in ours if key.endswith("num_batches_tracked")}  # older files have none
    mistakes = [
        *(f"lacks {key}" for key in ours if key not in theirs and key not in counters),
        *(f"has {key} besides" for key in theirs if key not in ours),
        *(
            f"has {key} of shape {tuple(theirs[key].shape)}, expected {tuple(value.shape)}"
            for key, (_, value) in ours.items()
            if key in theirs and theirs[key].shape != value.shape
        ),
    ]
    if mistakes:
        more = f", and {len(mistakes) - 3} more like these" if len(mistakes) > 3 else ""
        raise RunError(f"{path}: not the weights of {name}: it {', '.join(mistakes[:3])}{more}.")
    net.load_state_dict({key: theirs.get(their_key, value) for their_key, (key, value) in ours.items()})
    return TrainedModel(net.eval(), recipe, (32, 32, 3), _CIFAR10)


_ENDS = {"conv": "conv1", "bn": "bn1", "classifier": "linear"}
_BLOCKS = [f"layer{stage}.{block}" for stage in (1, 2, 3) for block in range(3)]  # of two convolutions each


def _adabin_names() -> dict[str, str]:
    """A block of theirs is two of ours."""
    names = {**_ENDS, "act": "nonlinear1", "head_bn": "bn2"}
    for index, (block, half) in enumerate((block, half) for block in _BLOCKS for half in (1, 2)):
        ours = f"blocks.{index}"
        names |= {f"{ours}.{part}": f"{block}.{part}{half}" for part in ("conv", "bn")}
        names[f"{ours}.act"] = f"{block}.nonlinear{half}"
        for level in ("alpha", "beta"):
            names[f"{ours}.conv.input_binarizer.{level}"] = f"{block}.conv{half}.binary_a.{level}_a"
    return names


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
        _adabin_names(),
    ),
    "resnet20": Published(
        "float ResNet-20 on CIFAR-10: 91.73 %, by a widespread implementation",
        """
title = "ResNet-20 on CIFAR-10, real weights and activations: published weights"
paper = "He et al., CVPR 2016, in the implementation of Y. Idelbayev"
published = 0.9173
epochs = 200
network = {name = "resnet20", shortcut_every = 2, shortcut = "subsample", nonlinearity = "relu", head = "plain"}
method = {name = "none"}
schedule = {name = "multistep", milestones = [100, 150]}
"""
        + _CIFAR10_SETUP,
        {**_ENDS, **{f"blocks.{index}": block for index, block in enumerate(_BLOCKS)}},
    ),
}
