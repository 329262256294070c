import json

import numpy as np

from bitwright.bench.item import noise
from bitwright.cli.main import main
from bitwright.ir.ops import Kind, TensorType


def test_bench_measures_the_engine_alone(bw, net):
    done = bw("bench", net, "--runs", 3, "--warmup", 1, "--batch", 2, "--json", without=["torch"])
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["bitwright"].keys() == {"median_ms", "min_ms", "runs"}
    assert result["bitwright"]["median_ms"] >= result["bitwright"]["min_ms"] > 0
    assert (result["bitwright"]["runs"], result["batch"], result["threads"]) == (3, 2, 1)
    assert "torch" not in result and result["cpu"] and result["versions"]["numpy"]


def test_bench_against_torch_gives_the_ratio_of_the_medians(bw, net):
    done = bw("bench", net, "--against", "torch", "--runs", "3", "--warmup", "1", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["ratio"] == result["torch"]["median_ms"] / result["bitwright"]["median_ms"]
    assert result["torch"]["runs"] == 3


def test_bench_prints_a_table(net, capsys):
    assert main(["bench", str(net), "--against", "torch", "--runs", "2", "--warmup", "1"]) == 0
    text = capsys.readouterr().out
    assert "PyTorch float32" in text and "times as long" in text


def test_bench_without_torch_says_what_to_install(bw, net, refused):
    refused(bw("bench", net, "--against", "torch", without=["torch"]), 'pip install "bitwright[train]"')


def test_layers_need_no_torch(bw) -> None:
    command = ["bench", "--suite", "layers", "--items", "6x6x16", "--runs", "1", "--peers", "torch"]
    done = bw(*command, without=["torch"])
    assert done.returncode == 0, done.stderr
    assert "density 0.01" in done.stdout and "torch: not installed: torch" in done.stdout
    done = bw("bench", "--suite", "networks", "--items", "resnet20", without=["torch"])
    assert done.returncode == 2 and 'pip install "bitwright[train]"' in done.stderr


def test_settings_out_of_range_are_refused(bw, net, refused):
    refused(bw("bench", net, "--runs", 0), "runs=0")
    refused(bw("bench", net, "--batch", 0), "--batch")


def test_noise_has_the_type_of_the_input():
    assert noise(TensorType(Kind.PIXEL, (1, 4, 4)), 3).dtype == np.uint8
    assert noise(TensorType(Kind.REAL, (5,)), 3).shape == (3, 5)
