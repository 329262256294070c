"""Accuracy against cost: what is a point, which are on the front, and what is left out and why."""

import json
from pathlib import Path

import pytest
from graphs import fixed_graphs
from hypothesis import given
from hypothesis import strategies as st
from run_folders import own_text, write_run

from bitwright.format.writer import write
from bitwright.ir.parts import parts_of_graph
from bitwright.ir.rules import apply_rules
from bitwright.report.page import write_page
from bitwright.report.pareto import FRONT, costs, panels, pareto_page, pareto_table, to_json
from bitwright.report.runs import group_runs, read_run
from bitwright.report.scatter import find_front, ticks_between


def measured(folder: Path, *, size: int = 0, bops: float = 0, ms: float = 0, cpu: str = "a cpu", **run) -> Path:
    write_run(folder, **run)
    if size:
        counted = {"counted": {"bops": {"fine_grained": bops, "dense": 8 * bops}}} if bops else {}
        (folder / "packed.json").write_text(json.dumps({"bytes": size, "bits_per_weight": 0.25, **counted}))
    if ms:
        (folder / "bench.json").write_text(json.dumps({"bitwright": {"median_ms": ms}, "batch": 1, "cpu": cpu}))
    return folder


@pytest.fixture
def groups(tmp_path: Path):
    sbnn = [{"name": "sbnn", "sparsity": share} for share in (0.5, 0.9)]
    return group_runs(
        map(
            read_run,
            [
                measured(tmp_path / "a0", size=9000, bops=4e6, ms=1, accuracy=0.80, method=sbnn[0]),
                measured(tmp_path / "b0", size=5000, bops=1e6, ms=2, accuracy=0.70, method=sbnn[1]),
                measured(tmp_path / "b1", size=7000, bops=3e6, ms=2, accuracy=0.72, method=sbnn[1], seed=1),
                measured(tmp_path / "c", size=8000, bops=5e6, accuracy=0.60, method={"name": "subbit"}),
                measured(tmp_path / "d", size=20_000, ms=9, accuracy=0.90, method={"name": "none"}),
            ],
        )
    )


def test_points_are_means_over_seeds_with_their_spread(groups) -> None:
    size = panels(groups, ["fine_grained"])[0]
    assert [(number, point.x, point.y) for number, point in size.points.items()] == [
        (1, 9, 80), (2, 6, pytest.approx(71)), (3, 8, 60), (4, 20, 90),
    ]  # fmt: skip
    assert size.points[2].x_spread == pytest.approx(2**0.5) and size.points[2].y_spread == pytest.approx(2**0.5)
    assert size.points[1].x_spread is None and size.points[1].family == "sbnn"


def test_the_front_is_marked_in_every_panel(groups) -> None:
    found = panels(groups, ["fine_grained"])
    marked = {panel.cost.key: [n for n, point in panel.points.items() if point.best] for panel in found}
    assert marked == {"bytes": [1, 2, 4], "fine_grained": [1, 2], "ms_per_image": [1, 4]}
    table = pareto_table(groups, found)
    assert [[cell.endswith(FRONT) for cell in row[8:]] for row in table.rows] == [
        [True, True, True], [True, True, False], [False, False, False], [True, False, True],
    ]  # fmt: skip
    assert list(table.rows[0][8:]) == [f"{x}\N{NO-BREAK SPACE}{FRONT}" for x in ("9.000", "4.000", "1.000")]
    assert table.rows[1][5] == "71.00 % ± 1.41"
    assert list(table.columns[7:]) == [
        "bits a weight", "file size, kB", "BOPs (fine_grained), millions", "time an image, ms",
    ]  # fmt: skip


def test_what_is_missing_is_left_out_and_said(groups, tmp_path: Path) -> None:
    found = panels(groups, ["fine_grained"])
    assert {panel.cost.key: list(panel.absent) for panel in found} == {
        "bytes": [], "fine_grained": [4], "ms_per_image": [3],
    }  # fmt: skip
    text = own_text(write_page(tmp_path / "page.html", pareto_page(groups, found)))
    assert "Left out: 3 (no time of one image: bw bench" in text and "4 (BOPs were not counted: bw eval" in text
    assert "sum of N*(weights of the rarer value" in text and "Timed on a cpu" in text
    assert "http://" not in text and "https://" not in text
    assert all(f"{point.number}. {point.label}" in text for panel in found for point in panel.points.values())


def test_several_machines_are_not_to_be_compared(tmp_path: Path) -> None:
    folders = [measured(tmp_path / name, ms=1, cpu=name, method={"name": name}) for name in ("x", "y")]
    groups = group_runs(map(read_run, folders))
    assert "not to be compared: x, threads: 1; y" in pareto_table(groups, panels(groups)).notes[-2]


def test_each_data_set_has_its_own_front(tmp_path: Path) -> None:
    folders = [
        measured(tmp_path / "a", size=9000, accuracy=0.9),
        measured(tmp_path / "b", size=9000, accuracy=0.4, source="cifar100:data"),
    ]
    groups = group_runs(map(read_run, folders))
    found = [panel for panel in panels(groups) if panel.cost.key == "bytes"]
    assert [(panel.data, [point.best for point in panel.points.values()]) for panel in found] == [
        ("cifar10", [True]), ("cifar100", [True]),
    ]  # fmt: skip
    assert pareto_page(groups, found).scatters[1].title == "Accuracy against file size, cifar100"


def test_operations_are_counted_from_the_packed_file_where_nobody_did(tmp_path: Path) -> None:
    graph = next(g for g in fixed_graphs() if apply_rules(parts_of_graph(g)).bops["dense"])
    folder = write_run(tmp_path / "a")
    write(graph, folder / "model.bw")
    groups = group_runs([read_run(folder)])
    (panel,) = [p for p in panels(groups, ["kernel_skipping"]) if p.cost.key == "kernel_skipping"]
    assert panel.points[1].x == pytest.approx(apply_rules(parts_of_graph(graph)).bops["kernel_skipping"] / 1e6)
    (folder / "model.bw").write_bytes(b"damaged")
    (panel,) = [p for p in panels(groups, ["kernel_skipping"]) if p.cost.key == "kernel_skipping"]
    assert list(panel.absent) == [1]


def test_pruned_networks_are_named(tmp_path: Path) -> None:
    pruned = [
        measured(tmp_path / f"{density}", size=9000, method={"name": "xnor_net"},
                 pruning={"name": "magnitude", "density": density})
        for density in (0.02, 0.1)
    ]  # fmt: skip
    groups = group_runs(map(read_run, pruned))
    point = panels(groups)[0].points[1]
    assert (point.label, point.family) == ("xnor_net, magnitude density=0.02", "xnor_net, magnitude")


def test_json_has_whole_units(groups) -> None:
    size, bops, time = to_json(panels(groups, ["fine_grained"]))
    assert size["points"][0] == {
        "number": 1, "label": "sbnn sparsity=0.5", "cost": 9000, "accuracy": 0.8, "accuracy_spread": None,
        "on_the_front": True,
    }  # fmt: skip
    assert bops["points"][1]["cost"] == 2e6 and time["absent"][0]["number"] == 3


def test_an_unknown_rule_is_named() -> None:
    with pytest.raises(ValueError, match="dense, kernel_skipping, fine_grained, shared_patterns, found 'sparse'"):
        costs(["sparse"])


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_the_front_is_what_nothing_beats(values: list[tuple[int, int]]) -> None:
    front = find_front(values)
    best = [value for value, on in zip(values, front, strict=True) if on]
    assert best
    for x, y in best:
        assert not any((a < x and b >= y) or (a <= x and b > y) for a, b in values)
    for (x, y), on in zip(values, front, strict=True):
        assert on or any(a <= x and b >= y for a, b in best)


@given(st.floats(1e-4, 1e9), st.floats(1, 1e5))
def test_ticks_lie_around_what_they_measure(low: float, ratio: float) -> None:
    ticks = ticks_between(low, low * ratio)
    assert 4 <= len(ticks) <= 12 and ticks == sorted(ticks)
    assert low / 1.2 <= ticks[0] and ticks[-1] <= low * ratio * 1.2
