import csv
import math

import pytest
import torch
from tiny import tiny_data, tiny_recipe
from torch import nn

from bitwright.core.binarizers import Sign
from bitwright.core.estimators import identity, ste
from bitwright.core.method import Method
from bitwright.methods import frac_bnn
from bitwright.nn.convert import binarize
from bitwright.train import resume_run, train
from bitwright.train.diagnostics import Diagnostics


def network(estimator=identity) -> nn.Linear:
    method = Method(weight=lambda layer: Sign(estimator), activation=lambda layer: Sign())
    return binarize(nn.Linear(4, 2, bias=False), method, where=lambda name, layer: True)


def test_flips_and_weights_that_never_flip():
    net = network()
    diagnostics = Diagnostics(net)
    for epoch, signs in enumerate([[1, 1, 1, 1], [-1, 1, 1, 1], [1, -1, 1, 1]]):
        net.weight.data = torch.tensor([signs, [1, 1, 1, 1]], dtype=torch.float32)
        diagnostics.end_epoch(epoch)
    assert [row["flips"] for row in diagnostics.rows[1:]] == pytest.approx([1 / 8, 2 / 8])
    assert [row["dead"] for row in diagnostics.rows[1:]] == pytest.approx([7 / 8, 6 / 8])
    assert diagnostics.rows[0]["flips"] != diagnostics.rows[0]["flips"]  # NaN: nothing to compare with


def test_balance_is_the_share_of_upper_inputs():
    net = network()
    diagnostics = Diagnostics(net)
    diagnostics.watch_inputs()
    net(torch.tensor([[1.0, 2.0, -1.0, 0.0]]))
    net(torch.tensor([[1.0, 1.0, 1.0, 1.0]]))
    diagnostics.close()
    net(-torch.ones(8, 4))
    assert diagnostics.end_epoch(0)[0]["balance"] == pytest.approx(7 / 8)


def test_open_is_the_share_of_open_gates():
    torch.manual_seed(0)
    net = binarize(nn.Sequential(nn.Conv2d(2, 3, 1), nn.Conv2d(3, 3, 1)), frac_bnn(), where=lambda name, layer: True)
    net[0].gate.threshold.data[:] = torch.tensor([-100.0, 100.0, -100.0])
    diagnostics = Diagnostics(net)
    diagnostics.watch_inputs()
    net.eval()(torch.rand(2, 2, 4, 4))
    diagnostics.close()
    net(torch.rand(8, 2, 4, 4))
    first, second = diagnostics.end_epoch(0)
    assert first["open"] == pytest.approx(2 / 3) and 0 <= second["open"] <= 1


def test_layers_without_gates_have_no_open_ones():
    diagnostics = Diagnostics(network())
    assert math.isnan(diagnostics.end_epoch(0)[0]["open"])


@pytest.mark.parametrize(("estimator", "expected"), [(identity, 0.0), (ste, 1 - (1 / 2) ** 0.5)])
def test_mismatch_is_what_the_estimator_does_to_the_gradient(estimator, expected):
    net = network(estimator)
    net.weight.data = torch.tensor([[0.5, 2.0, -0.5, -2.0]] * 2)  # ste drops the gradient of two weights in four
    diagnostics = Diagnostics(net)
    diagnostics.watch_gradients()
    net(torch.ones(1, 4)).sum().backward()
    diagnostics.close()
    gradient = net.weight.grad.clone()
    assert diagnostics.end_epoch(0)[0]["mismatch"] == pytest.approx(expected, abs=1e-6)
    net.zero_grad()
    net(torch.ones(1, 4)).sum().backward()
    assert torch.equal(net.weight.grad, gradient)  # measuring changed nothing


def test_tensorboard_holds_what_the_file_of_layers_holds(tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    result = train(tiny_recipe("epochs=2"), tmp_path / "run", data=tiny_data(), progress=False)
    seen = events.EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    rows = list(csv.DictReader((tmp_path / "run" / "layers.csv").read_text().splitlines()))
    for layer in result.layers:
        for figure in ("density", "flips", "dead", "balance", "mismatch"):
            values = [float(row[figure]) for row in rows if row["layer"] == layer and row[figure] != "nan"]
            assert [event.value for event in seen.Scalars(f"{figure}/{layer}")] == pytest.approx(values, rel=1e-4)
            assert len(values) == (1 if figure in ("flips", "dead") else 2)


def test_a_resumed_run_counts_on(tmp_path):
    train(tiny_recipe(), tmp_path / "whole", data=tiny_data(), progress=False)
    train(tiny_recipe(), tmp_path / "half", data=tiny_data(), stop_after=2, progress=False)
    resume_run(tmp_path / "half", data=tiny_data(), progress=False)
    whole, half = ((tmp_path / name / "layers.csv").read_text() for name in ("whole", "half"))
    assert whole == half
    rows = list(csv.DictReader(whole.splitlines()))
    assert len(rows) == 4 * 5 and 0 < float(rows[-1]["balance"]) < 1 and 0 <= float(rows[-1]["mismatch"]) <= 2
    assert 0 < float(rows[-1]["dead"]) <= 1 and float(rows[-1]["flips"]) >= 0
