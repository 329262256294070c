"""A trained network's first layer learns a posterior, and nothing else moves."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import bitwright as bw
from bitwright.core.hooks import Stepped
from bitwright.methods.about import describe_method
from bitwright.nn.bayesian import Bayesian


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.Hardtanh(), nn.Conv2d(6, 8, 3, bias=False),
        nn.BatchNorm2d(8), nn.Hardtanh(), nn.Conv2d(8, 8, 3, groups=2), nn.Flatten(), nn.Dropout(), nn.Linear(128, 3),
    )  # fmt: skip


def batch(count: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    target = torch.arange(count) % 3
    x = torch.randn(count, 1, 8, 8) / 2
    for i in range(count):
        x[i, :, :, 2 * target[i] : 2 * target[i] + 3] += 1
    return x, target


def train(net: nn.Module, steps: int, rate: float = 1e-2) -> list[float]:
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], rate)
    losses = []
    for step in range(steps):
        bw.set_progress(net, step / steps)
        x, target = batch()
        loss = F.cross_entropy(net(x), target)
        loss = loss + bw.penalty(net, loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        bw.after_step(net)
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("method", ["sbnn", "ir_net", "rbonn", "ada_bin", "si_bnn", "subbit", "noisy_supervision"])
def test_behind_the_layer_every_tensor_stays_as_it_is(method):
    net = bw.binarize(network(), getattr(bw.methods, method)())
    train(net, 4)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    logits = net.eval()(batch()[0])
    assert bw.methods.stf_bnn(net, images=100) is net
    assert torch.isfinite(logits).all()
    train(net, 6)
    after = net.state_dict()
    assert set(after) == {*before, "0.rho"}
    moved = [name for name, value in before.items() if not torch.equal(after[name], value)]
    assert moved == ["0.weight"]


def test_two_numbers_are_trained_for_each_weight_of_the_layer():
    net = bw.methods.stf_bnn(bw.binarize(network(), bw.methods.bi_real_net()), images=100)
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) == 2 * net[0].weight.numel()
    assert not net[0].bias.requires_grad


def test_in_eval_it_is_the_network_that_was_trained():
    net = bw.binarize(network(), bw.methods.bi_real_net())
    train(net, 2)
    x, _ = batch()
    expected = net.eval()(x)
    bw.methods.stf_bnn(net, images=100)
    assert not torch.equal(net(x), expected)
    assert torch.equal(net.eval()(x), expected)


def test_draws_are_learned_through_the_frozen_network():
    net = bw.binarize(network(), bw.methods.bi_real_net())
    train(net, 40)
    with torch.no_grad():
        net[0].weight.add_(torch.randn_like(net[0].weight))  # what training is to repair
    losses = train(bw.methods.stf_bnn(net, images=50_000, deviation=0.5), 60, 3e-2)
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_frozen_weights_are_not_stepped():
    class Halved(nn.Identity, Stepped):
        def after_step(self, weight):
            weight.mul_(0.5)

    net = bw.binarize(network(), bw.core.method.Method(lambda layer: Halved(), lambda layer: nn.Identity()))
    before = net[3].weight.detach().clone()
    bw.after_step(net)
    assert torch.equal(net[3].weight, before / 2)
    net[3].weight.requires_grad_(False)
    bw.after_step(net)
    assert torch.equal(net[3].weight, before / 2)


@pytest.mark.parametrize(("layer", "name"), [("first", "0"), ("0", "0"), ("9", "9")])
def test_the_layer_is_the_first_or_one_by_name(layer, name):
    net = bw.methods.stf_bnn(bw.binarize(network(), bw.methods.bi_real_net()), images=9, layer=layer)
    assert [n for n, m in net.named_modules() if isinstance(m, Bayesian)] == [name]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer": "conv"}, "has no layer 'conv'; it has 0, 3, 6, 9"),
        ({"layer": "3"}, "3 is binary"),
        ({"images": 0}, "found images=0"),
        ({"beta": -1.0}, "beta=-1.0"),
        ({"warmup": 2.0}, "warmup=2.0"),
        ({"prior": 0.0}, "0: prior: expected a number above 0"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    net = bw.binarize(network(), bw.methods.bi_real_net())
    with pytest.raises(ValueError, match=message):
        bw.methods.stf_bnn(net, **{"images": 9, **settings})
    assert all(p.requires_grad for p in net.parameters())


def test_a_second_layer_is_refused():
    net = bw.methods.stf_bnn(bw.binarize(network(), bw.methods.bi_real_net()), images=9)
    with pytest.raises(ValueError, match="has a Bayesian layer already"):
        bw.methods.stf_bnn(net, images=9, layer="9")


@pytest.mark.parametrize("name", bw.methods.ON_TRAINED)
def test_its_file_has_all_parts(name):
    about = describe_method(getattr(bw.methods, name))
    assert about.name == name and 2015 <= about.year <= 2026
    assert all(text.endswith(".") for text in (about.changes, about.deployed, about.checked, about.reference))
    assert about.call.startswith(f"bw.methods.{name}(") and "net,\n    images,\n" in about.call
