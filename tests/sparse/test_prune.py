"""Pruning a network: masks in training, in checkpoints and in the file, for any method and both kinds of fill."""

import copy
import pickle

import numpy as np
import pytest
import torch
from nets import INNER, binary_net, float_net, images, steps
from torch import nn

import bitwright as bw
from bitwright.core.masked import Masked
from bitwright.format.writer import op_blobs
from bitwright.ir import ops
from bitwright.lower import export, lower
from bitwright.sparse import (
    CubicRamp,
    Filters,
    Magnitude,
    Random,
    density_of,
    masks_of,
    prune,
    pruned_layers,
    set_masks,
)

REAL_WEIGHTS = {"binary_connect", "noisy_supervision"}  # while training: drawn, or made by a network of their own


@pytest.mark.parametrize("fill", ["majority", "low", "zero"])
@pytest.mark.parametrize("method", ["bi_real_net", "sbnn", "si_bnn", "ir_net", "ada_bin", "xnor_net", "recu"])
def test_pruned_networks_export(method, fill, tmp_path):
    net = prune(binary_net(method), Magnitude(), 0.3, fill=fill)
    steps(net, 2)
    report = export(net, tmp_path / "net.bw", images())
    assert report.bits > 0 and report.differing == 0
    assert report.comparison.labels_differing == 0
    x = images()
    expected = net.eval()(x).detach()
    torch.testing.assert_close(torch.from_numpy(bw.load(tmp_path / "net.bw")(x.numpy())), expected)


@pytest.mark.parametrize("fill", ["majority", "low"])
@pytest.mark.parametrize("method", sorted({*bw.methods.__all__} - REAL_WEIGHTS - {"frac_bnn"}))
def test_every_method_keeps_two_levels_and_the_majority_in_pruned_places(method, fill):
    net = prune(binary_net(method), Magnitude("layer"), 0.25, fill=fill)
    for name, (masked, weight) in pruned_layers(net).items():
        levels = bw.core.levels.read_levels(masked(weight))
        high = levels.bits ^ (levels.step < 0).view(-1, 1, 1, 1)
        assert (high[~masked.mask] == masked.high).all(), name
        share = high[masked.mask].float().mean()
        assert fill == "low" or (share > 0.5) == masked.high or share == 0.5


def test_pruned_weights_have_no_gradient_and_stay():
    net = prune(binary_net(), Magnitude(), 0.5, fill="zero")
    before = masks_of(net)
    steps(net, 4)
    for name, (masked, weight) in pruned_layers(net).items():
        assert not weight.grad[~before[name]].any() and weight.grad[before[name]].any()
        assert not weight[~before[name]].any()
        assert not masked(weight)[~before[name]].any()
        assert torch.equal(masked.mask, before[name])


def test_a_gradient_that_a_filter_shares_does_not_reach_pruned_weights():
    net = prune(binary_net("ir_net"), Magnitude(), 0.5)
    net(images()).square().sum().backward()
    for masked, weight in pruned_layers(net).values():
        assert not weight.grad[~masked.mask].any()


@pytest.mark.parametrize("fill", ["majority", "zero"])
def test_pruned_latents_stay_on_the_side_of_their_fill(fill):
    net = prune(binary_net("sbnn"), Magnitude(), 0.5, fill=fill)
    steps(net, 3)
    for masked, weight in pruned_layers(net).values():
        held = weight[~masked.mask]
        assert (held == 0).all() if fill == "zero" else ((held >= 0) == masked.high).all()


def test_levels_of_the_general_domain_learn_from_pruned_weights():
    net = prune(binary_net("sbnn"), Magnitude(), 0.5, fill="low")
    layer = net.get_submodule("2")
    masked = layer.weight_binarizer
    upstream = torch.randn(layer.weight.shape)
    masked(layer.weight).backward(upstream)
    torch.testing.assert_close(masked.wrapped.phi.grad, upstream.sum())
    signs = torch.where(masked.mask & (layer.weight >= 0), 1.0, -1.0)
    torch.testing.assert_close(masked.wrapped.tau.grad, (upstream * signs).sum())


def test_majority_is_zero_mode_plus_the_level_times_the_pruned_inputs():
    torch.manual_seed(1)
    layer = prune(binary_net("sbnn"), Magnitude(), 0.4, fill="low").get_submodule("2")
    masked = layer.weight_binarizer
    x = torch.randn(2, 8, 6, 6).sign()
    level = masked.wrapped.phi - masked.wrapped.tau
    at_level = torch.nn.functional.conv2d(x, (~masked.mask).float() * level, padding=1)
    q = masked.wrapped(layer.weight)
    zeroed = torch.nn.functional.conv2d(x, q * masked.mask, padding=1)
    torch.testing.assert_close(layer(x), zeroed + at_level)


def test_a_full_mask_changes_nothing():
    net = binary_net("sbnn")
    pruned = prune(copy.deepcopy(net), Magnitude(), 1.0)
    x = images()
    assert torch.equal(net(x), pruned(x))
    assert torch.equal(net.eval()(x), pruned.eval()(x))


def test_schedules_follow_the_verbs_and_masks_are_nested():
    net = prune(binary_net(), Magnitude(), CubicRamp(0.1, start=0.2, end=0.8))
    optimizer, earlier = None, masks_of(net)
    for epoch in range(11):
        bw.set_progress(net, epoch / 10)
        optimizer = steps(net, 1, optimizer)
        assert density_of(net) == pytest.approx(CubicRamp(0.1, 0.2, 0.8)(epoch / 10), abs=1e-3)
        now = masks_of(net)
        assert all((now[n] <= earlier[n]).all() for n in now)
        earlier = now
    assert density_of(net) == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize("criterion", [Magnitude(), Random("global"), Filters()])
def test_resuming_gives_the_same_weights_and_masks(criterion):
    def start() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        net = prune(binary_net("sbnn"), criterion, CubicRamp(0.2, end=0.9), fill="majority")
        return net, torch.optim.Adam(net.parameters(), 1e-2)

    def run(net: nn.Module, optimizer: torch.optim.Optimizer, epochs: range) -> None:
        for epoch in epochs:
            torch.manual_seed(epoch)
            bw.set_progress(net, epoch / 6)
            steps(net, 2, optimizer)

    whole, optimizer = start()
    run(whole, optimizer, range(6))
    first, optimizer = start()
    run(first, optimizer, range(3))
    saved = copy.deepcopy((first.state_dict(), optimizer.state_dict()))
    second, optimizer = start()
    second.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    run(second, optimizer, range(3, 6))
    assert whole.state_dict().keys() == second.state_dict().keys()
    assert all(
        torch.equal(a, b) for a, b in zip(whole.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_pruned_networks_copy_and_pickle():
    net = prune(binary_net(), Magnitude(), CubicRamp(0.5))
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        bw.set_progress(twin, 1.0)
        steps(twin, 1)
        assert density_of(twin) == pytest.approx(0.5, abs=1e-3)
    assert density_of(net) == 1


def test_a_float_checkpoint_loads_into_a_pruned_network():
    net, state = prune(binary_net(), Magnitude(), 0.5), float_net().state_dict()
    before = masks_of(net)
    net.load_state_dict(state)
    assert torch.equal(net.get_submodule("2").weight, state["2.weight"])
    assert all(torch.equal(mask, before[name]) for name, mask in masks_of(net).items())


def test_a_checkpoint_from_before_pruning_brings_its_levels():
    dense = binary_net("sbnn")
    with torch.no_grad():
        dense.get_submodule("2").weight_binarizer.tau.fill_(0.7)
    state = dense.state_dict()
    keys = [*state]
    net = prune(binary_net("sbnn"), Magnitude(), 0.5)
    before = masks_of(net)
    net.load_state_dict(state)
    assert [*state] == keys
    assert net.get_submodule("2").weight_binarizer.wrapped.tau.item() == pytest.approx(0.7)
    assert all(torch.equal(mask, before[name]) for name, mask in masks_of(net).items())


def test_float_networks_are_pruned_to_zero():
    net = prune(float_net(), Magnitude(), 0.2)
    assert [*pruned_layers(net)] == ["0", "2", "4"]
    steps(net, 3)
    total = sum(int((net.get_submodule(n).weight == 0).sum()) for n in ("0", "2", "4"))
    masks = masks_of(net)
    assert total == sum(int((~m).sum()) for m in masks.values())
    assert density_of(net) == pytest.approx(0.2, abs=1e-3)


def test_weights_that_may_return_go_on_training():
    net = prune(binary_net(), Magnitude(), 0.5, fill="zero", regrow=True, freeze=0.9)
    before = masks_of(net)
    net(images()).square().sum().backward()
    assert all(weight.grad[~masked.mask].any() for masked, weight in pruned_layers(net).values())
    steps(net, 5)
    after = masks_of(net)
    assert any((after[n] & ~before[n]).any() for n in after)
    bw.set_progress(net, 0.95)
    steps(net, 5)
    assert all(torch.equal(mask, after[name]) for name, mask in masks_of(net).items())


def test_masks_from_elsewhere():
    net = binary_net()
    mask = torch.rand(12, 8, 3, 3) > 0.7
    set_masks(net, {"2": mask})
    assert [*pruned_layers(net)] == ["2"]
    assert torch.equal(masks_of(net)["2"], mask)
    set_masks(net, {"2": torch.ones_like(mask).float()})
    assert density_of(net) == 1


def test_penalties_reach_a_wrapped_binarizer_once():
    torch.manual_seed(0)
    net = binary_net("sbnn", sparsity=0.9, gamma=0.5)
    twin = prune(copy.deepcopy(net), Magnitude(), 1.0)
    assert torch.equal(bw.penalty(net), bw.penalty(twin)) and bw.penalty(net) > 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: prune(binary_net(), Magnitude(), 1.5), "0 to 1, found 1.5"),
        (lambda: prune(prune(binary_net(), Magnitude(), 0.5), Magnitude(), 0.5), "pruned or parametrized already"),
        (lambda: prune(binary_net(), Magnitude(), 0.5, where=["9"]), "no convolution or linear layer '9'"),
        (lambda: prune(binary_net(), Magnitude(), 0.5, where=lambda n, m: False), "none is chosen"),
        (lambda: prune(binary_net(), Magnitude(), 0.5, fill="high"), "expected 'majority', 'low' or 'zero'"),
        (lambda: prune(binary_net(), Magnitude(), 0.5, freeze=2), "freeze: expected a share"),
        (lambda: set_masks(binary_net(), {"2": torch.ones(3, 3)}), r"2: expected a mask of shape \(12, 8, 3, 3\)"),
        (lambda: Masked(nn.Identity(), (2, 2)), "a real weight has no levels"),
        (lambda: Magnitude("filter"), "'layer' or 'global'"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_layers_that_were_chosen_by_default():
    assert tuple(pruned_layers(prune(binary_net(), Magnitude(), 0.5))) == INNER


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch's own, while tracing
@pytest.mark.parametrize("mode", ["training", "deployed"])
@pytest.mark.parametrize("fill", ["majority", "zero"])
@pytest.mark.parametrize("method", ["bi_real_net", "sbnn"])
def test_pruned_layers_compile_without_a_graph_break(method, fill, mode):
    layer = bw.binarize(nn.Conv2d(4, 3, 3), getattr(bw.methods, method)(), where=[""])
    prune(layer, Magnitude(), 0.4, fill=fill).train(mode == "training")
    torch._dynamo.reset()
    x = torch.randn(2, 4, 5, 5)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")(x)
    torch.testing.assert_close(compiled, layer(x))


@pytest.mark.parametrize("method", sorted({*bw.methods.__all__} - REAL_WEIGHTS))
def test_a_masked_binarizer_keeps_the_laws(method):
    torch.manual_seed(0)
    shape = (8, 6, 3, 3)
    layer = nn.Conv2d(6, 8, 3)
    masked = Masked(getattr(bw.methods, method)().weight(layer), shape)
    masked.set_mask(torch.rand(shape) > 0.5, layer.weight.detach().clone())
    masked.mask[:, :4, 0, 0] = True  # where the check looks at the sign of 0
    bw.check_binarizer(masked, shape=shape)


@pytest.mark.parametrize(("density", "most"), [(0.5, 1.1), (0.1, 1.03), (0.05, 1.03)])
def test_exact_zeros_take_little_more_than_the_entropy_of_three_values(density, most):
    net = nn.Sequential(nn.Conv2d(1, 64, 3), nn.BatchNorm2d(64), nn.Conv2d(64, 64, 3), nn.Flatten(), nn.Linear(1024, 4))
    prune(bw.binarize(net, bw.methods.bi_real_net()), Random(), density, fill="zero")
    graph = lower(net, images(1))
    planes = [op for op in graph.ops if isinstance(op, ops.BinaryConv)]
    bits = sum(8 * len(op_blobs(op)["weight"].data) for op in planes) / planes[0].weight.size
    values = np.array([1 - density, density / 2, density / 2])
    assert len(planes) == 2
    assert bits < most * -(values * np.log2(values)).sum()
