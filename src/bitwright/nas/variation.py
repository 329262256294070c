"""Variation: how NAS-BNN makes new networks out of a space, and out of those found so far."""

from dataclasses import dataclass
from random import Random

from bitwright.nas.ops import count_operations
from bitwright.nas.space import Candidate, Row, Space, draw_row


@dataclass(frozen=True)
class Variation:
    """Random networks, mutations and crossovers of a space: what `search.search` needs to know of it.

    Attributes:
        space: The space.
        num_classes: Of the task, for the count of operations.
        in_channels: Of the images, likewise.
        probability: Of each change of a mutation.
        compat: Whether to do as the published code: a mutation looks at the row before the one it changes only, so that
            channels may fall behind it, and a crossover also at rows that are not used. Else channels never fall.
    """

    space: Space
    num_classes: int = 10
    in_channels: int = 3
    probability: float = 0.2
    compat: bool = False

    def starts(self) -> list[Candidate]:
        """The smallest and the largest network."""
        return [self.space.smallest(), self.space.largest()]

    def name(self, candidate: Candidate) -> str:
        """The network's description, the same for candidates that differ in unused rows alone.

        Args:
            candidate: Of the space.
        """
        return self.space.arch(candidate)

    def price(self, candidate: Candidate) -> float:
        """Operations, in millions.

        Args:
            candidate: Of the space.
        """
        shapes = self.space.shapes(candidate)
        return count_operations(shapes, self.space.size, self.num_classes, self.in_channels).ops / 1e6

    def sample(self, random: Random) -> Candidate:
        """A random network.

        Args:
            random: Source of the choices.
        """
        return self.space.sample(random)

    def mutate(self, parent: Candidate, random: Random) -> Candidate | None:
        """A changed network: with `probability` each, depths are drawn anew, and rows that are used, all three choices.

        Args:
            parent: A network.
            random: Source of the choices.

        Returns:
            None where channels would fall.
        """
        stages = self.space.stages
        depths = tuple(
            random.choice(stage.depths) if random.random() < self.probability else depth
            for stage, depth in zip(stages, parent.depths, strict=True)
        )
        rows = list(parent.rows)
        before = 0
        for i in self.space.active(Candidate(depths, parent.rows)):
            if random.random() < self.probability:
                rows[i] = draw_row(stages[self.space.places[i][0]], before, random)
            before = rows[i].channels
        child = Candidate(depths, tuple(rows))
        return child if self.compat or self.space.is_rising(child) else None

    def cross(self, one: Candidate, other: Candidate, random: Random) -> Candidate | None:
        """A child of two networks: each depth, and each choice of each row, is that of either with probability 1/2.

        Args:
            one: A network.
            other: Another one.
            random: Source of the choices.

        Returns:
            None where channels would fall.
        """
        depths = tuple(map(random.choice, zip(one.depths, other.depths, strict=True)))
        rows = (
            Row(*map(random.choice, ((a.channels, b.channels), (a.kernel, b.kernel), (a.groups, b.groups))))
            for a, b in zip(one.rows, other.rows, strict=True)
        )
        child = Candidate(depths, tuple(rows))
        return child if self.space.is_rising(child, all_rows=self.compat) else None
