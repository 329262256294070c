"""A recipe: everything that decides a training run, as frozen dataclasses that a TOML file spells out.

A run folder and every checkpoint store the recipe as it was resolved, so that a figure can always be traced to its
settings. `toml_form.py` reads and writes the text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from bitwright.errors import RecipeError
from bitwright.train.bayesian import NOT_BAYESIAN, BayesianLayer
from bitwright.train.optional_tables import (
    ALONE,
    CLASSIFIED,
    DENSE,
    LABELS,
    Choice,
    Detection,
    Pretext,
    Pruning,
    Teaching,
    check,
)
from bitwright.train.rounds import STAGE, write_out
from bitwright.train.toml_form import apply_overrides, build, merge, parse, read_tables, write

DEMO = Path(__file__).with_name("demo.toml")


@dataclass(frozen=True)
class Data:
    """Which images, and how pixels become numbers.

    Attributes:
        source: `KIND:PATH`.
        samples: Training images that are used, a seeded choice; 0 for all.
        size: For `images`: side in pixels of the square that every image becomes; 0 keeps them as they are.
        held_out: Training images set aside (seeded) to choose the best epoch by; 0 chooses by the test split.
        mean: Mean of each channel, with pixels from 0 to 1; empty: measured on the training images.
        std: Standard deviation of each channel, likewise.
    """

    source: str
    samples: int = 0
    size: int = 0
    held_out: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check("data.size", self.size, self.size >= 0, "0 or more")
        check("data.samples", self.samples, self.samples >= 0, "0 or more")
        check("data.held_out", self.held_out, self.held_out >= 0, "0 or more")
        check("data.std", self.std, all(value > 0 for value in self.std), "positive")
        check("data.mean", self.mean, len(self.mean) == len(self.std), "as many numbers as data.std")


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that the optimizer treats in a way of their own.

    Attributes:
        names: Of parameters, as `net.named_parameters()` has them, with `*` and `?` as in file names.
        lr: What the learning rate is multiplied by for them; 0 keeps them as they are.
        weight_decay: Theirs; without it, what the optimizer says for all.
    """

    names: tuple[str, ...]
    lr: float = 1.0
    weight_decay: float | None = None

    def __post_init__(self) -> None:
        check("optimizer.groups.names", self.names, bool(self.names), "one pattern or more")
        check("optimizer.groups.lr", self.lr, self.lr >= 0, "0 or more")
        decays = self.weight_decay is None or self.weight_decay >= 0
        check("optimizer.groups.weight_decay", self.weight_decay, decays, "0 or more")


@dataclass(frozen=True)
class Optimizer:
    """How weights move.

    Attributes:
        name: Which optimizer.
        lr: Learning rate at its highest.
        momentum: For sgd.
        weight_decay: L2 term for adam and sgd, decoupled for adamw.
        decay_on: Where it acts: "weights" of two and more axes, those of "real" layers alone, or "all" parameters.
        groups: Exceptions; of several that name a parameter the first one holds.
    """

    name: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    decay_on: Literal["weights", "real", "all"] = "weights"
    groups: tuple[ParameterGroup, ...] = ()

    def __post_init__(self) -> None:
        check("optimizer.lr", self.lr, self.lr > 0, "positive")
        check("optimizer.momentum", self.momentum, 0 <= self.momentum < 1, "in [0, 1)")
        check("optimizer.weight_decay", self.weight_decay, self.weight_decay >= 0, "0 or more")


@dataclass(frozen=True)
class Schedule:
    """How the learning rate falls.

    Attributes:
        name: "cosine" and "linear" fall to 0 over the run, "exponential" to `factor`; "multistep" multiplies by
            `factor` at each milestone.
        per: Whether the rate, and the progress that the method is told, change once an epoch or once a step.
        warmup: Epochs in which it first rises linearly.
        milestones: Epochs, for multistep.
        factor: For multistep and exponential.
    """

    name: Literal["cosine", "linear", "exponential", "multistep", "constant"] = "cosine"
    per: Literal["epoch", "step"] = "epoch"
    warmup: int = 0
    milestones: tuple[int, ...] = ()
    factor: float = 0.1

    def __post_init__(self) -> None:
        check("schedule.warmup", self.warmup, self.warmup >= 0, "0 or more epochs")
        check("schedule.factor", self.factor, self.factor > 0, "positive")


@dataclass(frozen=True)
class Augmentation:
    """What happens to training images.

    Attributes:
        crop: Black border in pixels from which a window of the old size is cut at random; 0 for none.
        flip: Whether every second image, at random, is mirrored left to right.
        rotation: Largest angle in degrees, either way.
        mixup: Alpha of the Beta(alpha, alpha) that weights two mixed images; 0 for none.
    """

    crop: int = 0
    flip: bool = False
    rotation: float = 0.0
    mixup: float = 0.0

    def __post_init__(self) -> None:
        check("augmentation.crop", self.crop, self.crop >= 0, "0 or more pixels")
        check("augmentation.rotation", self.rotation, 0 <= self.rotation <= 180, "from 0 to 180 degrees")
        check("augmentation.mixup", self.mixup, self.mixup >= 0, "0 or more")


@dataclass(frozen=True)
class Loss:
    """What the labels ask for.

    Attributes:
        name: Cross-entropy, or the squared hinge loss of BNN: see `train.augment.Targets`.
        label_smoothing: Share of the target spread evenly over the classes, for cross-entropy.
    """

    name: Literal["cross_entropy", "squared_hinge"] = "cross_entropy"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        check("loss.label_smoothing", self.label_smoothing, 0 <= self.label_smoothing < 1, "in [0, 1)")
        plain = self.name == "cross_entropy" or not self.label_smoothing
        check("loss.label_smoothing", self.label_smoothing, plain, f"0 with {self.name}")


@dataclass(frozen=True)
class Machine:
    """What decides speed, and rounding, but not the experiment.

    Attributes:
        precision: Lightning's word; "auto" is mixed precision on a GPU and float32 on a CPU.
        compile: Whether the network goes through `torch.compile`, which needs a C++ compiler.
        threads: CPU threads; 0 leaves the choice to PyTorch.
        channels_last: Whether training images lie with their channels last in memory, which a CPU's convolutions like.
    """

    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    compile: bool = False
    threads: int = 0
    channels_last: bool = False

    def __post_init__(self) -> None:
        check("machine.threads", self.threads, self.threads >= 0, "0 or more")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run.

    Attributes:
        title: What this is, in a line.
        paper: Where it comes from, and the published figure with it: authors, venue, year, and which table.
        published: Accuracy, from 0 to 1, that the source states, or None where it states none that could be verified.
        short: Whether this is a short budget: far less than the source's training, so that its figure is no goal.
        note: Deviations from the source, and why.
        seed: Of the initial weights, the order of the images, and the augmentation.
        epochs: Passes over the training images.
        batch: Images in a step.
        train: What learns: all of the network, or its head alone, as a classifier of the frozen body's features.
        keep: Which epoch's weights become the result: the last, or the best (see `train.run`).
        data: Images.
        network: Function that makes the float network.
        method: Function that makes the binarization method; the name "none" trains the float network.
        init: Fresh weights of convolutions and linear layers: PyTorch's own, or one of `train.init`.
        binary: What the method makes binary: its activations, its weights, or both. The other part stays real.
        start: Run folder or `model.safetensors` with the weights to start from; empty for fresh ones. What the method
            adds may be missing there.
        stages: Tables, each with a `name` and the keys of a recipe that differ in this stage. A stage starts from the
            weights that the one before kept, or has a `start` of its own: "stage:NAME", or empty for fresh weights.
            With `rounds` it stands for several, see `train.rounds`.
        optimizer: Optimizer.
        schedule: Learning rate.
        augmentation: Augmentation.
        loss: Loss.
        pretext: What is learned in place of the labels.
        detection: What is found in scenes of several objects, likewise.
        pruning: Which weights are pruned while training.
        teacher: A trained network to learn from.
        bayesian: A layer that becomes Bayesian while all others are frozen.
        machine: Speed.
    """

    title: str
    paper: str = ""
    published: float | None = None
    short: bool = False
    note: str = ""
    seed: int = 0
    epochs: int
    batch: int = 128
    train: Literal["all", "head"] = "all"
    keep: Literal["best", "last"] = "best"
    data: Data
    network: Choice
    method: Choice
    init: Literal["default", "kaiming", "fan_out"] = "default"
    binary: Literal["both", "activations", "weights"] = "both"
    start: str = ""
    stages: tuple[dict[str, Any], ...] = ()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    augmentation: Augmentation = Augmentation()
    loss: Loss = Loss()
    pretext: Pretext = LABELS
    detection: Detection = CLASSIFIED
    pruning: Pruning = DENSE
    teacher: Teaching = ALONE
    bayesian: BayesianLayer = NOT_BAYESIAN
    machine: Machine = Machine()

    def __post_init__(self) -> None:
        figure = self.published
        check("published", figure, figure is None or 0 < figure < 1, "an accuracy between 0 and 1")
        check("paper", self.paper, figure is None or bool(self.paper), "the source of what is published")
        check("epochs", self.epochs, self.epochs >= 1, "1 or more")
        check("batch", self.batch, self.batch >= 2, "2 or more, since batch norm needs two images")
        tapped = bool(self.teacher.features or self.detection.size) and self.machine.compile
        check("machine.compile", True, not tapped, "false where teacher.features are matched, or things detected")
        if self.pretext.name:
            check("loss.name", self.loss.name, self.loss.name == "cross_entropy", "cross_entropy with a pretext")
            check("augmentation.mixup", self.augmentation.mixup, not self.augmentation.mixup, "0 with a pretext")
        if self.detection.size:
            check("pretext.name", self.pretext.name, not self.pretext.name, "empty where things are detected")
            check("teacher.source", self.teacher.source, not self.teacher.source, "empty where things are detected")
            check("augmentation", self.augmentation, self.augmentation == Augmentation(), "empty with detection.size")
            check("train", self.train, self.train == "all", "all where things are detected")
        check("seed", self.seed, 0 <= self.seed < 2**32, "from 0 to 2**32 - 1")
        check("schedule.warmup", self.schedule.warmup, self.schedule.warmup < self.epochs, "fewer than epochs")
        reached = self.pruning.falling * self.epochs <= self.epochs - 1
        check("pruning.end", self.pruning.end, reached, "reached before the last epoch")
        names = [stage.get("name") for stage in self.stages]
        named = all(isinstance(name, str) and name.isidentifier() for name in names) and len({*names}) == len(names)
        check("stages", names, named, "tables, each with a name of its own made of letters, digits and _")

    def stage(self, index: int) -> "Recipe":
        """The recipe of one stage: this one with the stage's keys laid over it.

        Args:
            index: Which, from 0.

        Raises:
            RecipeError: If the stage has an unknown key, or a value of the wrong type or range.
        """
        before = [stage["name"] for stage in self.stages[:index]]
        changes = dict(self.stages[index])
        name = changes.pop("name")
        if "stages" in changes:
            raise RecipeError(f"stages.{name}: a stage cannot have the key stages")
        start = f"{STAGE}{before[-1]}" if before else self.start
        whole = parse(write(replace(self, stages=(), title=f"{self.title}: {name}", start=start)))
        try:
            stage = build(Recipe, merge(whole, changes))
            for key, source in stage.sources.items():
                known = not source.startswith(STAGE) or source.removeprefix(STAGE) in before
                check(key, source, known, f"a stage before this one, of {', '.join(before) or 'which there is none'}")
        except RecipeError as error:
            raise RecipeError(f"stages.{name}: {error}") from None
        return stage

    @property
    def sources(self) -> dict[str, str]:
        """Where trained networks come from, by key; some are empty."""
        return {"start": self.start, "teacher.source": self.teacher.source, "pruning.by": self.pruning.by}

    def resolve(
        self, *, mean: tuple[float, ...], std: tuple[float, ...], images: int = 0, classes: int = 0, **network: Any
    ) -> "Recipe":
        """The same recipe with what the data set decides written out.

        Args:
            mean: Of each channel, for a recipe that leaves it open.
            std: Of each channel, likewise.
            images: Training images, for a Bayesian layer whose table leaves them open.
            classes: Of what is detected, likewise.
            network: Keyword arguments of the network, such as `num_classes`, that hold where the recipe has none.
        """
        data = self.data if self.data.mean else replace(self.data, mean=mean, std=std)
        options = {**network, **self.network.options}
        bayesian = replace(self.bayesian, images=self.bayesian.images or images)
        detection = replace(self.detection, classes=self.detection.classes or classes * bool(self.detection.size))
        network_choice = Choice(self.network.name, options)
        return replace(self, data=data, network=network_choice, bayesian=bayesian, detection=detection)


def parse_recipe(text: str, *, overrides: tuple[str, ...] = (), where: str = "recipe") -> Recipe:
    """Read a recipe from TOML text.

    Args:
        text: The file's content.
        overrides: Assignments such as "optimizer.lr=0.01" that come after the text.
        where: The file, for messages.

    Raises:
        RecipeError: If a key is unknown or missing, or a value has the wrong type or range.
    """
    try:
        return _make_recipe(parse(text), overrides)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from None


def _make_recipe(tables: Mapping[str, Any], overrides: tuple[str, ...]) -> Recipe:
    tables = apply_overrides(tables, overrides)
    recipe = build(Recipe, {**tables, "stages": write_out(tables["stages"])} if "stages" in tables else tables)
    for index in range(len(recipe.stages)):
        recipe.stage(index)
    return recipe


def read_recipe(path: str | Path, *, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe file.

    With `base = "FILE"`, relative to the file, it takes every setting that it lacks from there, but for `title`,
    `published` and `note`.

    Args:
        path: The TOML file.
        overrides: Assignments such as "optimizer.lr=0.01" that come after the file.

    Raises:
        RecipeError: If there is no such file, or it is not a recipe.
    """
    tables = read_tables(Path(path), own=("title", "published", "note"))
    try:
        return _make_recipe(tables, overrides)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


def write_recipe(recipe: Recipe) -> str:
    """Write a recipe as TOML text that `parse_recipe` reads back to an equal recipe.

    Args:
        recipe: The recipe.
    """
    return write(recipe)
