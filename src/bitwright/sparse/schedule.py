"""Schedules: the share of weights that is kept, as a function of how far training has come."""

from collections.abc import Callable
from dataclasses import dataclass

Schedule = Callable[[float], float]


def check_density(density: float) -> None:
    """Raise a ValueError unless the density is a share."""
    if not 0 <= density <= 1:
        raise ValueError(f"density: expected the share of weights that is kept, 0 to 1, found {density}")


@dataclass(frozen=True)
class Constant:
    """The same density from the start.

    Args:
        density: the share of weights that is kept, 0 to 1.

    Raises:
        ValueError: the density is no share.
    """

    density: float

    def __post_init__(self) -> None:
        check_density(self.density)

    def __call__(self, progress: float) -> float:
        """The density at a moment of training, 0 to 1."""
        return self.density


@dataclass(frozen=True)
class CubicRamp:
    """Density falls fast at first, then ever more slowly: d(p) = d_f + (d_i - d_f) * (1 - (p - p0) / (p1 - p0))^3.

    Args:
        density: d_f, the share of weights that is kept from the end of the ramp on, 0 to 1.
        start: p0, the share of training where the ramp begins.
        end: p1, where it ends.
        initial: d_i, the density until it begins.

    Raises:
        ValueError: an argument lies outside its range.

    Reference: Zhu and Gupta, "To Prune, or Not to Prune", 2017, equation 1.
    """

    density: float
    start: float = 0.0
    end: float = 0.5
    initial: float = 1.0

    def __post_init__(self) -> None:
        check_density(self.density)
        check_density(self.initial)
        if self.initial < self.density:
            raise ValueError(f"initial: expected at least the density {self.density}, found {self.initial}")
        if not 0 <= self.start < self.end <= 1:
            raise ValueError(f"start and end: expected 0 <= start < end <= 1, found {self.start} and {self.end}")

    def __call__(self, progress: float) -> float:
        """The density at a moment of training, 0 to 1."""
        done = min(max((progress - self.start) / (self.end - self.start), 0.0), 1.0)
        return self.density + (self.initial - self.density) * (1 - done) ** 3
