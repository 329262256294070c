"""Rows of digits to search, which need no PyTorch, so that other processes start quickly."""

from itertools import pairwise
from random import Random

from bitwright.nas.search import Score

Row = tuple[int, ...]
DIGITS, LENGTH = range(4), 12


class Digits:
    """Rows of twelve digits from 0 to 3; the price is their sum."""

    def starts(self) -> list[Row]:
        return [(DIGITS[0],) * LENGTH, (DIGITS[-1],) * LENGTH]

    def name(self, candidate: Row) -> str:
        return "".join(map(str, candidate))

    def price(self, candidate: Row) -> float:
        return sum(candidate)

    def sample(self, random: Random) -> Row:
        return tuple(random.choice(DIGITS) for _ in range(LENGTH))

    def mutate(self, parent: Row, random: Random) -> Row:
        return tuple(random.choice(DIGITS) if random.random() < 0.2 else digit for digit in parent)

    def cross(self, one: Row, other: Row, random: Random) -> Row:
        return tuple(map(random.choice, zip(one, other, strict=True)))


def score(candidate: Row) -> Score:
    """Digits that differ from those beside them."""
    return Score(sum(a != b for a, b in pairwise(candidate)))
