import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from graphs import fixed_graphs, random_input

from bitwright.format.writer import write
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Graph, Kind, TensorType, Window
from bitwright.runtime import tuning
from bitwright.runtime.engine import Engine, available_isas, load

FASTEST = available_isas()[-1]


def two_layers(seed: int = 0) -> Graph:
    rng, ones = np.random.default_rng(seed), np.ones(16, np.float32)
    layers: list[ops.Op] = [ops.Binarize(name="sign", inputs=("x",), threshold=0 * ones)]
    for name, source in (("first", "sign"), ("second", "bits")):
        weight = rng.random((16, 16, 3, 3)) < 0.5
        window = Window((3, 3), padding=(1, 1))
        layers.append(ops.BinaryConv(name=name, inputs=(source,), weight=weight, signed=True, window=window))
        if name == "first":
            threshold, flip = np.zeros(16, np.int32), rng.random(16) < 0.5
            layers.append(ops.Threshold(name="bits", inputs=(name,), threshold=threshold, flip=flip, kind=Kind.SIGN))
    layers.append(ops.Affine(name="y", inputs=("second",), scale=ones))
    return Graph("x", TensorType(Kind.REAL, (16, 12, 12)), tuple(layers), "y")


@pytest.fixture(autouse=True)
def nothing_found_yet(monkeypatch):
    monkeypatch.setattr(tuning, "_FOUND", {})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(two_layers(), tmp_path / "net.bw")
    return tmp_path / "net.bw"


@pytest.fixture
def beside(path: Path) -> Path:
    return path.with_name("net.bw.tune.json")


def kernels(engine: Engine) -> dict[str, str]:
    return {step.name: step.kernel for step in engine.layers() if step.op == "BinaryConv"}


def another(kernel: str) -> str:
    return "sliced-list" if kernel != "sliced-list" else "four-russians-3"


@pytest.mark.parametrize("isa", available_isas())
def test_tuning_changes_no_result(tmp_path, isa, rng):
    for i, graph in enumerate((two_layers(), *fixed_graphs()[::7])):
        write(graph, tmp_path / f"{i}.bw")
        x = random_input(graph, rng)
        np.testing.assert_array_equal(load(tmp_path / f"{i}.bw", isa=isa, tune=True)(x), interpret(graph, x))


def test_results_are_kept_beside_the_file(path, beside):
    found = kernels(load(path, isa=FASTEST, tune=True))
    assert found.keys() == {"first", "second"}
    content = json.loads(beside.read_text())
    assert list(content["kernels"].values()) == [found]
    assert sorted(os.listdir(path.parent)) == ["net.bw", "net.bw.tune.json"]


def test_what_lies_beside_the_file_is_used(path, beside):
    first = load(path, isa=FASTEST, tune=True)
    content = json.loads(beside.read_text())
    wanted = {name: another(kernel) for name, kernel in kernels(first).items()}
    content["kernels"] = dict.fromkeys(content["kernels"], wanted)
    beside.write_text(json.dumps(content))
    assert kernels(load(path, isa=FASTEST, tune=True)) == kernels(first)  # this process knows better
    tuning._FOUND.clear()
    assert kernels(load(path, isa=FASTEST, tune=True)) == wanted
    assert kernels(load(path, isa=FASTEST)) == kernels(Engine(path, isa=FASTEST))  # only if asked for


@pytest.mark.parametrize(
    "change",
    [
        {"checksum": "00"},
        {"bitwright": "0.0.0"},
        {"kernels": []},
        {"kernels": {"a machine": {"first": "abacus"}}},
    ],
)
def test_what_was_found_elsewhere_is_not_used(path, beside, change, rng):
    load(path, isa=FASTEST, tune=True)
    content = json.loads(beside.read_text())
    machine = next(iter(content["kernels"]))
    wrong = {machine: {"first": "abacus", "second": ""}}
    beside.write_text(json.dumps({**content, "kernels": wrong, **change}))
    tuning._FOUND.clear()
    x = random_input(two_layers(), rng)
    engine = load(path, isa=FASTEST, tune=True)
    np.testing.assert_array_equal(engine(x), interpret(two_layers(), x))
    assert json.loads(beside.read_text())["kernels"][machine] == kernels(engine)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"kernels": 1}', "\x00"])
def test_a_damaged_file_beside_is_replaced(path, beside, text):
    beside.write_text(text)
    engine = load(path, isa=FASTEST, tune=True)
    assert list(json.loads(beside.read_text())["kernels"].values()) == [kernels(engine)]


def test_unknown_kernels_are_measured_anew(path, beside):
    load(path, isa=FASTEST, tune=True)
    content = json.loads(beside.read_text())
    machine = next(iter(content["kernels"]))
    second = another(content["kernels"][machine]["second"])
    content["kernels"][machine] = {"first": "abacus", "second": second}
    beside.write_text(json.dumps(content))
    tuning._FOUND.clear()
    found = kernels(load(path, isa=FASTEST, tune=True))
    assert found["first"] != "abacus" and found["second"] == second


def test_each_instruction_set_has_its_results(path, beside):
    for isa in ("portable", FASTEST):
        load(path, isa=isa, tune=True)
    machines = json.loads(beside.read_text())["kernels"]
    assert [machine.split(" on ")[0] for machine in machines] == list(dict.fromkeys(("portable", FASTEST)))


def test_a_new_file_forgets_what_was_found_for_the_old_one(path, beside):
    load(path, isa="portable", tune=True)
    old = json.loads(beside.read_text())
    write(two_layers(1), path)
    load(path, isa=FASTEST, tune=True)
    new = json.loads(beside.read_text())
    assert new["checksum"] != old["checksum"] and len(new["kernels"]) == 1


def test_results_stay_in_the_process_where_no_file_can_be_written(path, beside):
    beside.mkdir()  # nothing can take its place
    found = kernels(load(path, isa=FASTEST, tune=True))
    assert list(tuning._FOUND.values()) == [found]
    assert sorted(os.listdir(path.parent)) == ["net.bw", "net.bw.tune.json"]
    tuning._FOUND.update({key: {name: another(kernel) for name, kernel in found.items()} for key in tuning._FOUND})
    assert kernels(load(path, isa=FASTEST, tune=True)) == next(iter(tuning._FOUND.values()))


def test_a_choice_of_the_caller_wins(path):
    for kernel in ("sliced-list", "four-russians-3"):
        engine = Engine(path, isa=FASTEST, tune=True, choices={"first": kernel})
        assert kernels(engine)["first"] == kernel


def test_a_pipe_is_tuned_and_leaves_nothing(path, tmp_path, rng):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(path.read_bytes(),))
    writer.start()
    try:
        engine = load(pipe, tune=True)
    finally:
        writer.join()
    x = random_input(two_layers(), rng)
    np.testing.assert_array_equal(engine(x), interpret(two_layers(), x))
    assert sorted(os.listdir(tmp_path)) == ["net.bw", "pipe"]
