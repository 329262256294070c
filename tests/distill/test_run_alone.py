"""run_alone: each block on an input of its own, and nothing left behind."""

import copy

import torch
from torch import nn

from bitwright import distill


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    )


def test_gradients_stay_inside_each_block() -> None:
    net = network()
    with distill.tap(net, ["0", "1"], inputs=True) as given:
        net(torch.randn(5, 4))
    found = distill.run_alone(net, given)
    assert list(found) == ["0", "1"]
    found["1"].square().sum().backward()
    assert {name for name, p in net.named_parameters() if p.grad is not None} == {
        "1.0.weight", "1.0.bias", "1.1.weight", "1.1.bias",
    }  # fmt: skip


def test_the_result_is_that_of_the_pass_and_its_averages_stay() -> None:
    net, x = network(), torch.randn(5, 4)
    with distill.tap(net, ["0", "1"]) as outputs, distill.tap(net, ["0", "1"], inputs=True) as given:
        net(x)
    before = copy.deepcopy(net.state_dict())
    found = distill.run_alone(net, given)
    assert all(torch.equal(found[name], outputs[name]) for name in outputs)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    net(x)
    assert not torch.equal(net[0][1].running_mean, before["0.1.running_mean"])
    assert all(module.track_running_stats for module in net.modules() if isinstance(module, nn.BatchNorm1d))


def test_in_eval_mode_it_is_the_deployed_arithmetic() -> None:
    net = network().eval()
    nn.init.normal_(net[1][1].running_mean)
    x = torch.randn(5, 3)
    assert torch.equal(distill.run_alone(net, {"1": x})["1"], net[1](x))


def test_any_input_that_fits_will_do() -> None:
    net = network()
    x = torch.randn(5, 3, requires_grad=True)
    distill.run_alone(net, {"1": x})["1"].square().sum().backward()
    assert x.grad is None and net[1][0].weight.grad is not None
