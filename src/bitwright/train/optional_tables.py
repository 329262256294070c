"""Tables that most recipes do without: pruning, a teacher, a pretext, detection. And what all tables are made of."""

from dataclasses import dataclass, field
from typing import Any, Literal

from bitwright.errors import RecipeError


def check(key: str, value: object, holds: bool, expected: str) -> None:
    """Raise a RecipeError that names key, what was expected and what was found, unless the condition holds."""
    if not holds:
        raise RecipeError(f"{key} must be {expected}, found {value!r}")


@dataclass(frozen=True)
class Choice:
    """A function by name, and its keyword arguments: every key of the table but `name`.

    Attributes:
        name: A catalogue name ("resnet20", "sbnn"), or "package.module:function".
        options: Keyword arguments.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pruning:
    """Which weights are pruned while training, see `bitwright.sparse`.

    Attributes:
        name: The criterion; empty for no pruning.
        density: Share of weights, or of filters or kernels, that is kept at the end.
        by: Run folder or `model.safetensors` of a network whose trained weights are judged, before the first step; its
            pruned weights stay pruned, and density 1 takes its masks as they are. In a stage also "stage:NAME". Empty:
            the network's own weights are judged while it trains, and its density falls by the schedule.
        shuffle: Whether the masks made by another network have their entries in random order within each layer: as
            many weights of each, but others.
        scope: What competes: all layers together, or each layer's weights; n_of_m has its own groups.
        start: Share of training where the cubic ramp of the density begins.
        end: Share of training where it ends; with 0 all is pruned after the first step.
        fill: What a pruned binary weight becomes: see `core.masked.Masked`.
        regrow: Whether pruned weights go on training and may return.
        freeze: Share of training after which masks stay as they are.
        n: Weights kept of each m input channels, for n_of_m.
        m: For n_of_m.
    """

    name: Literal["", "magnitude", "random", "filters", "kernels", "n_of_m"] = ""
    density: float = 1.0
    by: str = ""
    shuffle: bool = False
    scope: Literal["global", "layer"] = "global"
    start: float = 0.0
    end: float = 0.5
    fill: Literal["majority", "low", "zero"] = "majority"
    regrow: bool = False
    freeze: float = 1.0
    n: int = 2
    m: int = 4

    @property
    def falling(self) -> float:
        """The share of training after which the density is what it should be."""
        return 0.0 if self.by or not self.name else self.end

    def __post_init__(self) -> None:
        check("pruning.density", self.density, 0 <= self.density <= 1, "from 0 to 1")
        check(
            "pruning.end", self.end, self.end == 0 or self.start < self.end <= 1, "0, or after pruning.start, up to 1"
        )
        check("pruning.name", self.name, bool(self.name) or not self.by, "a criterion where pruning.by names a network")
        check("pruning.shuffle", self.shuffle, bool(self.by) or not self.shuffle, "false without pruning.by")
        check("pruning.start", self.start, self.start >= 0, "0 or more")
        check("pruning.freeze", self.freeze, 0 < self.freeze <= 1, "above 0, up to 1")
        check("pruning.n", self.n, 1 <= self.n <= self.m, "from 1 to pruning.m")


@dataclass(frozen=True)
class Teaching:
    """What is learned from a trained network: see `train.teacher.Teacher` for the formula.

    Attributes:
        source: Run folder, its `model.safetensors` or a checkpoint of it, or "package.module:function", which is called
            without arguments and returns a trained network; in a stage also "stage:NAME" of one before; or any file of
            weights, with the `network` they belong to. Empty for no teacher.
        network: Function that makes the float network of a file that does not say so itself.
        mean: Of each channel, where the teacher's pixels are normalised otherwise than its file says, or than ours.
        std: Standard deviation of each channel, likewise.
        labels: Weight of the loss by the labels, or by the pretext.
        logits: Weight of the loss by the teacher's logits.
        divergence: Of the logits: Kullback-Leibler, or the cross-entropy with the teacher's probabilities as target;
            "guided" is S2-BNN's, of projections, see `distill.guided_loss`.
        temperature: Of the softmax there; 0 is ReActNet's distributional loss, the cross-entropy at temperature 1.
        features: Modules whose outputs are matched: their name in both networks, or "own=teacher's".
        attention: Weight of the distance of their attention maps.
        maps: Weight of the distance of these outputs themselves.
        distance: Which one, see `distill.feature_loss`.
        inputs: What the modules see whose outputs are matched. "whole": what the pass through the network gave them, so
            that the loss reaches all layers before. Or each is run once more by itself and learns alone: on what the
            "student" gave it, or on what the "teacher" gave its module of that name. See `distill.run_alone`.
    """

    source: str = ""
    network: Choice | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    labels: float = 0.0
    logits: float = 1.0
    divergence: Literal["kl", "cross_entropy", "guided"] = "kl"
    temperature: float = 0.0
    features: tuple[str, ...] = ()
    attention: float = 1.0
    maps: float = 0.0
    distance: Literal["mse", "cosine"] = "mse"
    inputs: Literal["whole", "student", "teacher"] = "whole"

    def __post_init__(self) -> None:
        for key in ("labels", "logits", "temperature", "attention", "maps"):
            check(f"teacher.{key}", getattr(self, key), getattr(self, key) >= 0, "0 or more")
        tempered = self.temperature > 0 or self.divergence != "guided"
        check("teacher.temperature", self.temperature, tempered, "positive where the divergence is guided")
        learns = not self.source or self.labels or self.logits or (self.features and (self.attention or self.maps))
        check("teacher", "only weights of 0", bool(learns), "given something to teach")
        check("teacher.std", self.std, all(value > 0 for value in self.std), "positive")
        check("teacher.mean", self.mean, len(self.mean) == len(self.std), "as many numbers as teacher.std")
        check("teacher.features", self.features, bool(self.features) or not self.maps, "given where maps are matched")


@dataclass(frozen=True)
class Pretext:
    """What is learned without labels, see `bitwright.pretext`. The augmentation acts on each view before the rest.

    Attributes:
        name: "rotation": which of four quarter turns? Four copies of each image make the batch. "simclr": two views of
            an image find each other among those of the others; the head is then a projection that nothing else uses.
            "moco": likewise, but the network sees the first view, and finds what its slow copy says of the second one
            in a queue of what that said before; where a teacher leaves the pretext no weight, the first view is all.
            Empty: the labels are learned.
        temperature: Of simclr and moco.
        hidden: Width of its projection; 0 for that of the features.
        outputs: Of its projection.
        area: Of its views: the smallest share of an image that a crop shows.
        jitter: The share of them whose colours change.
        strength: How much.
        grey: The share that loses its colours.
        blur: The share that is blurred.
        momentum: Of moco: how slowly the copy follows, see `pretext.MomentumNetwork`.
        queue: Of moco: how long it is.
    """

    name: Literal["", "rotation", "simclr", "moco"] = ""
    temperature: float = 0.5
    hidden: int = 0
    outputs: int = 128
    area: float = 0.08
    jitter: float = 0.8
    strength: float = 0.5
    grey: float = 0.2
    blur: float = 0.0
    momentum: float = 0.999
    queue: int = 4096

    def __post_init__(self) -> None:
        check("pretext.temperature", self.temperature, self.temperature > 0, "positive")
        check("pretext.hidden", self.hidden, self.hidden >= 0, "0 or more")
        check("pretext.outputs", self.outputs, self.outputs >= 1, "1 or more")
        check("pretext.momentum", self.momentum, 0 <= self.momentum < 1, "in [0, 1)")
        check("pretext.queue", self.queue, self.queue >= 1, "1 or more")
        check("pretext.area", self.area, 0 < self.area <= 1, "above 0, up to 1")
        for key in ("jitter", "strength", "grey", "blur"):
            check(f"pretext.{key}", getattr(self, key), 0 <= getattr(self, key) <= 1, "from 0 to 1")


@dataclass(frozen=True)
class Detection:
    """What is found in rendered scenes, see `bitwright.detection`: the network becomes the body of a detector.

    Attributes:
        size: Side of a scene in pixels; 0: nothing is to be found, the labels are learned.
        scenes: Training scenes, made of the training images.
        test_scenes: Test scenes, made of the test images.
        objects: The fewest and the most objects of a scene.
        scale: The smallest and the largest factor of an object's size.
        clutter: Pieces of other images in a scene.
        seed: Of the scenes, whatever the seed of the run.
        maps: Modules of the network whose maps are taken; empty: the last ones of the smallest resolutions.
        levels: How many resolutions.
        width: Channels of the convolutions in the detector's heads.
        depth: How many of them a head has.
        classes: How many; 0 for those of the data set.
    """

    size: int = 0
    scenes: int = 2000
    test_scenes: int = 500
    objects: tuple[int, ...] = (1, 4)
    scale: tuple[float, ...] = (0.5, 1.25)
    clutter: int = 8
    seed: int = 0
    maps: tuple[str, ...] = ()
    levels: int = 2
    width: int = 64
    depth: int = 1
    classes: int = 0

    def __post_init__(self) -> None:
        for key in ("size", "clutter", "seed", "classes"):
            check(f"detection.{key}", getattr(self, key), getattr(self, key) >= 0, "0 or more")
        for key in ("scenes", "test_scenes", "levels", "width", "depth"):
            check(f"detection.{key}", getattr(self, key), getattr(self, key) >= 1, "1 or more")
        for key, least in (("objects", 1), ("scale", 1e-6)):
            ends = getattr(self, key)
            rising = len(ends) == 2 and least <= ends[0] <= ends[1]
            check(f"detection.{key}", ends, rising, "two rising numbers, from 1 on" if least == 1 else "two above 0")


DENSE, ALONE, LABELS, CLASSIFIED = Pruning(), Teaching(), Pretext(), Detection()
