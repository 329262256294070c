"""Search spaces: which channels, kernels and groups each block may have, and how many blocks there are.

A network of a space is a `Candidate`: one row of choices for every block that could be there, and the depth of each
stage. The order of the stages, and of the blocks in them, is fixed; the stem is the first stage, of one block.

Reference: Lin et al., "NAS-BNN: Neural Architecture Search for Binary Neural Networks", 2024 (arXiv 2408.15484), and
the authors' code, for the space `IMAGENET`. The spaces for CIFAR are ours.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod
from random import Random
from typing import Any

from bitwright.zoo.nas_bnn import BlockShape, write_arch


@dataclass(frozen=True)
class Stage:
    """The choices of a run of blocks.

    Attributes:
        channels: What each block may have, in rising order.
        depths: How many blocks there may be, in rising order.
        kernels: Sides of the kernels of a block's first convolution, in rising order.
        groups: Of that convolution, in rising order.
        stride: Of the first block.
    """

    channels: tuple[int, ...]
    depths: tuple[int, ...]
    kernels: tuple[int, ...] = (3,)
    groups: tuple[int, ...] = (1,)
    stride: int = 2

    def __post_init__(self) -> None:
        for name in ("channels", "depths", "kernels", "groups"):
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, values)  # lists, where the stage was read from a recipe
            if not values or values[0] < 1 or any(a >= b for a, b in pairwise(values)):
                raise ValueError(f"{name}: expected rising whole numbers from 1 on, found {list(values)}")
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise ValueError(f"kernels: expected odd sides, found {list(self.kernels)}")
        if self.stride not in (1, 2):
            raise ValueError(f"stride: expected 1 or 2, found {self.stride}")


@dataclass(frozen=True)
class Row:
    """What was chosen for one block."""

    channels: int
    kernel: int = 3
    groups: int = 1


@dataclass(frozen=True)
class Candidate:
    """A network of a space.

    Attributes:
        depths: Blocks of each stage, the stem's first.
        rows: Choices for every block the space has room for, stage by stage. Those beyond a stage's depth are kept, as
            a child may use them.
    """

    depths: tuple[int, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Space:
    """Stages of choices; the first one is the stem, a 3x3 convolution.

    Attributes:
        stages: The stem, and at least one more.
        size: Side of the images, in pixels.
    """

    stages: tuple[Stage, ...]
    size: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        if len(self.stages) < 2:
            raise ValueError("stages: expected the stem and at least one more")
        stem = self.stages[0]
        if (stem.depths, stem.kernels, stem.groups) != ((1,), (3,), (1,)):
            raise ValueError("stages: the first one is the stem, of depth 1, with kernels 3 and groups 1")
        for before, stage in pairwise(self.stages):
            inputs = {*before.channels, *stage.channels}
            if any(channels % groups for channels in inputs for groups in stage.groups):
                raise ValueError(f"groups: expected divisors of all of {sorted(inputs)}, found {list(stage.groups)}")
            if before.channels[-1] > stage.channels[-1]:
                raise ValueError(f"channels: {before.channels[-1]} leave the next stage no choice that is as wide")

    @cached_property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Stage and block of each row."""
        return tuple((s, b) for s, stage in enumerate(self.stages) for b in range(stage.depths[-1]))

    def active(self, candidate: Candidate) -> list[int]:
        """The rows that a candidate's network uses.

        Args:
            candidate: Of this space.
        """
        return [i for i, (stage, block) in enumerate(self.places) if block < candidate.depths[stage]]

    def shapes(self, candidate: Candidate) -> tuple[BlockShape, ...]:
        """The network of a candidate, as `zoo.nas_bnn` has it: the stem's shape, and that of each block.

        Args:
            candidate: Of this space.
        """
        found = []
        for i in self.active(candidate):
            (stage, block), row = self.places[i], candidate.rows[i]
            stride = self.stages[stage].stride if block == 0 else 1
            found.append(BlockShape(row.channels, row.kernel, row.groups, stride))
        return tuple(found)

    def arch(self, candidate: Candidate) -> str:
        """The description of a candidate's network, which names it: rows that are not used say nothing.

        Args:
            candidate: Of this space.
        """
        return write_arch(self.shapes(candidate))

    def is_rising(self, candidate: Candidate, all_rows: bool = False) -> bool:
        """Whether no block has fewer channels than the one before it.

        Args:
            candidate: Of this space.
            all_rows: Whether rows that are not used count too.
        """
        chosen = range(len(candidate.rows)) if all_rows else self.active(candidate)
        widths = [candidate.rows[i].channels for i in chosen]
        return all(a <= b for a, b in pairwise(widths))

    def largest(self) -> Candidate:
        """The largest choice of everything, but the fewest groups."""
        rows = (Row(s.channels[-1], s.kernels[-1], s.groups[0]) for s in self._stage_of_rows())
        return Candidate(tuple(stage.depths[-1] for stage in self.stages), tuple(rows))

    def smallest(self) -> Candidate:
        """The smallest choice of everything, but the most groups."""
        rows = (Row(s.channels[0], s.kernels[0], s.groups[-1]) for s in self._stage_of_rows())
        return Candidate(tuple(stage.depths[0] for stage in self.stages), tuple(rows))

    def sample(self, random: Random) -> Candidate:
        """A random candidate whose channels do not fall, not even in rows that are not used.

        Drawn in the order of the published code, so that the same seed gives the same network.

        Args:
            random: Source of the choices.
        """
        depths: list[int] = []
        rows: list[Row] = []
        for stage in self.stages:
            depths.append(random.choice(stage.depths))
            for _ in range(stage.depths[-1]):
                rows.append(draw_row(stage, rows[-1].channels if rows else 0, random))
                random.choice((1,))  # the groups of the 1x1 convolution, of which there is one
        return Candidate(tuple(depths), tuple(rows))

    def count(self, rising: bool = True) -> int:
        """How many networks the space has.

        Args:
            rising: Whether to count those only whose channels do not fall.
        """
        if not rising:
            return prod(sum(prod(_sizes(s)) ** depth for depth in s.depths) for s in self.stages)
        ways = {0: 1}  # by the channels of the last block
        for stage in self.stages:
            _, *others = _sizes(stage)
            after: dict[int, int] = {}
            for depth in range(1, stage.depths[-1] + 1):
                ways = {c: prod(others) * sum(n for w, n in ways.items() if w <= c) for c in stage.channels}
                if depth in stage.depths:
                    after = {c: after.get(c, 0) + n for c, n in ways.items()}
            ways = after
        return sum(ways.values())

    def table(self, candidate: Candidate) -> list[tuple[int, int, int, int, int, int]]:
        """A candidate in the published form: stage, block, channels, kernel, groups and 1 of each row.

        The 1 is the groups of the 1x1 convolution. Stage and block are -1 in rows that are not used.

        Args:
            candidate: Of this space.
        """
        used = set(self.active(candidate))
        places = [place if i in used else (-1, -1) for i, place in enumerate(self.places)]
        return [(*p, r.channels, r.kernel, r.groups, 1) for p, r in zip(places, candidate.rows, strict=True)]

    def from_table(self, table: Sequence[Sequence[int]]) -> Candidate:
        """Read a candidate in the published form, see `table`.

        Args:
            table: A row of six numbers for each block that the space has room for.

        Raises:
            ValueError: It is no network of this space.
        """
        if len(table) != len(self.places) or any(len(row) != 6 or row[5] != 1 for row in table):
            raise ValueError(f"expected {len(self.places)} rows of six numbers, the last one 1, found {table}")
        depths = tuple(sum(row[0] == s for row in table) for s in range(len(self.stages)))
        candidate = Candidate(depths, tuple(Row(*row[2:5]) for row in table))
        self.check(candidate)
        for i, (row, own) in enumerate(zip(table, self.table(candidate), strict=True)):
            if tuple(row[:2]) != own[:2]:
                raise ValueError(f"row {i}: expected stage and block {own[:2]}, found {tuple(row[:2])}")
        return candidate

    def check(self, candidate: Candidate) -> None:
        """See that a candidate is one of this space.

        Args:
            candidate: Any.

        Raises:
            ValueError: A depth or a row is none of the choices.
        """
        if len(candidate.depths) != len(self.stages) or len(candidate.rows) != len(self.places):
            raise ValueError(f"expected {len(self.stages)} depths and {len(self.places)} rows, found {candidate}")
        for s, (stage, depth) in enumerate(zip(self.stages, candidate.depths, strict=True)):
            if depth not in stage.depths:
                raise ValueError(f"stage {s}: expected a depth of {stage.depths}, found {depth}")
        for i, (row, stage) in enumerate(zip(candidate.rows, self._stage_of_rows(), strict=True)):
            if row.channels not in stage.channels or row.kernel not in stage.kernels or row.groups not in stage.groups:
                raise ValueError(f"row {i}: expected choices of {stage}, found {row}")

    def _stage_of_rows(self) -> Iterator[Stage]:
        return (self.stages[stage] for stage, _ in self.places)


def draw_row(stage: Stage, least: int, random: Random) -> Row:
    """A random row of a stage.

    Args:
        stage: The choices.
        least: Fewest channels that will do, of those there are.
        random: Source of the choices.
    """
    channels = [c for c in stage.channels if c >= least]
    return Row(random.choice(channels), random.choice(stage.kernels), random.choice(stage.groups))


def _sizes(stage: Stage) -> tuple[int, int, int]:
    return len(stage.channels), len(stage.kernels), len(stage.groups)


IMAGENET = Space(
    (
        Stage((24, 32, 48), (1,)),
        Stage((48, 64, 96), (2, 3), stride=1),
        Stage((96, 128, 192), (2, 3), (3, 5), (1, 2)),
        Stage((192, 256, 384), (2, 3), (3, 5), (2, 4)),
        Stage((384, 512, 768), (8, 9), (3, 5), (4, 8)),
        Stage((768, 1024, 1536), (2, 3), (3, 5), (8, 16)),
    ),
    size=224,
)
CIFAR = Space(
    (
        Stage((16, 24, 32), (1,), stride=1),
        Stage((32, 48, 64), (1, 2, 3), (3, 5), (1, 2), stride=1),
        Stage((64, 96, 128), (1, 2, 3), (3, 5), (1, 2)),
        Stage((128, 192, 256), (1, 2, 3), (3, 5), (2, 4)),
    ),
    size=32,
)
CIFAR_SMALL = Space(
    (
        Stage((8, 12, 16), (1,), stride=1),
        Stage((16, 24, 32), (1, 2), (3, 5), (1, 2)),
        Stage((32, 48, 64), (1, 2), (3, 5), (1, 2)),
        Stage((64, 96, 128), (1, 2), (3, 5), (2, 4)),
    ),
    size=32,
)
SPACES = {"imagenet": IMAGENET, "cifar": CIFAR, "cifar-small": CIFAR_SMALL}


def find_space(space: str | Mapping[str, Any]) -> Space:
    """A space by its name, or from the table of a recipe.

    Args:
        space: A key of `SPACES`, or {"size": 32, "stages": [{"channels": [8, 16], "depths": [1], ...}, ...]}.

    Raises:
        ValueError: There is no such space, or the table is none.
    """
    if isinstance(space, str):
        if space not in SPACES:
            raise ValueError(f"space: expected one of {', '.join(SPACES)}, or a table, found {space!r}")
        return SPACES[space]
    try:
        return Space(tuple(Stage(**stage) for stage in space["stages"]), space["size"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"space: expected a table of size and stages, see nas.space.Space: {error}") from None
