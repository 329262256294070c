"""Spaces, their count of operations, and the ways to new networks."""

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from bitwright.nas.ops import count_operations
from bitwright.nas.space import CIFAR, CIFAR_SMALL, IMAGENET, SPACES, Candidate, Row, Space, Stage, find_space
from bitwright.nas.variation import Variation
from bitwright.zoo.nas_bnn import parse_arch, write_arch

TINY = Space((Stage((4, 8), (1,), stride=1), Stage((8, 16), (1, 2), (3, 5), (1, 2))), size=8)


def test_operations_of_the_published_space() -> None:
    smallest, largest = (count_operations(IMAGENET.shapes(c), 224) for c in (IMAGENET.smallest(), IMAGENET.largest()))
    assert (smallest.flops, smallest.bops, smallest.ops) == (1785064, 1215212544, 20772760)
    assert (largest.flops, largest.bops, largest.ops) == (3569128, 21007687680, 331814248)


def test_size_of_the_published_space() -> None:
    assert IMAGENET.count(rising=False) == pytest.approx(3.96e21, rel=1e-3)
    assert IMAGENET.count() == pytest.approx(3.3e17, rel=1e-2)
    assert len(IMAGENET.places) == 22


def test_a_small_space_counted_by_hand() -> None:
    # channels of stem and blocks, (kernel, groups) of each block in 4 ways
    assert TINY.count(rising=False) == 2 * (8 + 64)
    rising = [(s, *b) for s in (4, 8) for b in [(8,), (16,), (8, 8), (8, 16), (16, 16)]]
    assert TINY.count() == sum(4 ** (len(widths) - 1) for widths in rising)
    drawn = {TINY.arch(TINY.sample(Random(seed))) for seed in range(3000)}
    assert len(drawn) == TINY.count()


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_samples_never_narrow_and_their_names_say_everything(space: Space) -> None:
    random = Random(0)
    for _ in range(100):
        candidate = space.sample(random)
        space.check(candidate)
        assert space.is_rising(candidate) and space.is_rising(candidate, all_rows=True)
        shapes = space.shapes(candidate)
        assert all(a.channels <= b.channels for a, b in pairwise(shapes))
        assert parse_arch(space.arch(candidate)) == shapes and write_arch(shapes) == space.arch(candidate)
        assert space.from_table(space.table(candidate)) == candidate


def test_the_published_table() -> None:
    table = IMAGENET.table(IMAGENET.smallest())
    assert len(table) == 22
    assert table[:4] == [(0, 0, 24, 3, 1, 1), (1, 0, 48, 3, 1, 1), (1, 1, 48, 3, 1, 1), (-1, -1, 48, 3, 1, 1)]
    with pytest.raises(ValueError, match="expected 22 rows of six numbers"):
        IMAGENET.from_table(table[1:])
    with pytest.raises(ValueError, match="row 1: expected choices of Stage"):
        IMAGENET.from_table([table[0], (1, 0, 50, 3, 1, 1), *table[2:]])
    with pytest.raises(ValueError, match=r"row 1: expected stage and block \(1, 0\), found \(-1, -1\)"):
        IMAGENET.from_table([table[0], (-1, -1, 48, 3, 1, 1), table[2], (1, 0, 48, 3, 1, 1), *table[4:]])


@pytest.mark.parametrize("space", [IMAGENET, CIFAR_SMALL], ids=["imagenet", "cifar-small"])
def test_children_are_networks_of_the_space_that_never_narrow(space: Space) -> None:
    random, variety = Random(1), Variation(space)
    made = crossed = 0
    parents = [space.sample(random) for _ in range(20)]
    for _ in range(300):
        one, other = random.choice(parents), random.choice(parents)
        for child in (variety.mutate(one, random), variety.cross(one, other, random)):
            if child is not None:
                made += 1
                space.check(child)
                assert space.is_rising(child)
        child = variety.cross(one, other, random)
        for i, row in enumerate(child.rows if child else ()):
            crossed += 1
            for name in ("channels", "kernel", "groups"):
                assert getattr(row, name) in {getattr(p.rows[i], name) for p in (one, other)}
    assert made > 100 and crossed > 0


def test_as_published_a_mutation_may_narrow_and_a_crossover_minds_unused_rows() -> None:
    random, compat = Random(0), Variation(CIFAR, compat=True)
    children = [compat.mutate(CIFAR.sample(random), random) for _ in range(300)]
    assert all(child is not None for child in children)
    assert any(not CIFAR.is_rising(child) for child in children)
    assert all(child is None or CIFAR.is_rising(child) for child in (
        Variation(CIFAR).mutate(CIFAR.sample(random), random) for _ in range(300)
    ))  # fmt: skip
    rows = (Row(4), Row(16), Row(8))
    falls = Candidate((1, 1), rows)  # its last row is not used
    assert TINY.is_rising(falls) and not TINY.is_rising(falls, all_rows=True)
    assert Variation(TINY).cross(falls, falls, random) == falls
    assert Variation(TINY, compat=True).cross(falls, falls, random) is None


def test_prices_follow_the_task() -> None:
    candidate = CIFAR.sample(Random(3))
    few, many = Variation(CIFAR, num_classes=10), Variation(CIFAR, num_classes=100)
    width = CIFAR.shapes(candidate)[-1].channels
    assert many.price(candidate) - few.price(candidate) == pytest.approx(90 * (width + 1) / 1e6)
    unused = replace(CIFAR.smallest(), rows=(*CIFAR.smallest().rows[:-1], Row(256, 5, 2)))
    assert few.name(unused) == few.name(CIFAR.smallest()) and few.price(unused) == few.price(CIFAR.smallest())


def test_a_space_from_a_recipe() -> None:
    table = {
        "size": 8,
        "stages": [
            {"channels": [4, 8], "depths": [1], "stride": 1},
            {"channels": [8, 16], "depths": [1, 2], "kernels": [3, 5], "groups": [1, 2]},
        ],
    }
    assert find_space(table) == TINY and find_space("cifar") is CIFAR
    for wrong, message in (
        ("cifra", "space: expected one of imagenet, cifar, cifar-small"),
        ({"size": 8}, "space: expected a table of size and stages"),
        ({**table, "stages": table["stages"][:1]}, "expected the stem and at least one more"),
        ({**table, "stages": [table["stages"][0], {"channels": [8, 4], "depths": [1]}]}, "channels: expected rising"),
        ({**table, "stages": [table["stages"][0], {"channels": [6], "depths": [1]}]}, "no choice that is as wide"),
        ({**table, "stages": [table["stages"][0], {"channels": [9], "depths": [1], "groups": [2]}]}, "groups: "),
        ({**table, "stages": [table["stages"][0], {"channels": [8], "depths": [1], "kernels": [4]}]}, "odd sides"),
        ({**table, "stages": [table["stages"][0], {"channels": [8], "depths": [1], "stride": 3}]}, "stride: "),
        ({**table, "stages": [table["stages"][1]] * 2}, "the first one is the stem"),
    ):
        with pytest.raises(ValueError, match=message):
            find_space(wrong)


@pytest.mark.parametrize("text", ["8", "8 x", "8 16k4", "8 16g3", "8k5 16", "0 8", "8 16s0"])
def test_descriptions_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="arch: "):
        parse_arch(text)
