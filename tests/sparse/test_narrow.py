"""Removing pruned filters: the layers shrink, the outputs stay, and so does the file's answer."""

import copy

import numpy as np
import pytest
import torch
from nets import binary_net, float_net, images, steps
from torch import nn

import bitwright as bw
from bitwright.ir.ops import BinaryConv
from bitwright.lower import export, lower
from bitwright.sparse import Filters, Magnitude, masks_of, narrow, prune, set_masks, stq_nets


@pytest.mark.parametrize("method", ["bi_real_net", "sbnn", "si_bnn", "ada_bin", "recu", "react_net"])
def test_outputs_stay(method, tmp_path):
    net = prune(binary_net(method), Filters(), 0.5, fill="zero")
    steps(net, 2)
    x = images()
    expected = net.eval()(x)
    narrowed = narrow(copy.deepcopy(net))
    assert [tuple(narrowed.get_submodule(n).weight.shape) for n in ("2", "4")] == [(6, 8, 3, 3), (8, 12, 3, 3)]
    torch.testing.assert_close(narrowed(x), expected)
    report = export(narrowed, tmp_path / "net.bw", images())
    assert report.differing == 0 and report.comparison.labels_differing == 0
    np.testing.assert_allclose(bw.load(tmp_path / "net.bw")(x.numpy()), expected.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_the_file_holds_the_filters_that_are_left():
    net = narrow(prune(binary_net(), Filters(), 0.25, fill="zero"))
    convs = [op for op in lower(net, images()).ops if isinstance(op, BinaryConv)]
    assert [op.weight.shape for op in convs] == [(3, 8, 3, 3), (4, 12, 3, 3)]


def test_filters_with_zeros_inside_stay_exact():
    net = prune(binary_net("sbnn"), Magnitude(), 1.0, fill="zero")
    masks = masks_of(net)
    set_masks(net, {n: (torch.rand(m.shape) > 0.4) & (torch.rand(len(m), 1, 1, 1) > 0.5) for n, m in masks.items()})
    x = images()
    expected = net.eval()(x)
    torch.testing.assert_close(narrow(net)(x), expected)


def test_linear_layers_and_biases():
    net = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 10), nn.BatchNorm1d(10), nn.Linear(10, 3))
    prune(bw.binarize(net, bw.methods.bi_real_net()), Filters(), 0.4, fill="zero")
    x = torch.randn(5, 6)
    expected = net.eval()(x)
    narrow(net)
    assert net[1].weight.shape == (4, 8) and net[1].out_features == 4
    torch.testing.assert_close(net(x), expected)


def test_a_layer_without_filters_keeps_one():
    net = binary_net()
    prune(net, Magnitude(), 1.0, fill="zero")
    set_masks(net, {"2": torch.zeros(12, 8, 3, 3)})
    x = images()
    expected = net.eval()(x)
    assert len(narrow(net).get_submodule("2").weight) == 1
    torch.testing.assert_close(net(x), expected)


def test_filters_at_a_level_cannot_go():
    with pytest.raises(ValueError, match="2: filters pruned with fill 'majority' still answer"):
        narrow(prune(binary_net(), Filters(), 0.5))


def test_stq_nets_meets_its_share_and_prunes_to_zero():
    net = stq_nets(bw.binarize(float_net(), bw.methods.xnor_net()), 0.5)
    optimizer = None
    for epoch in range(6):
        bw.set_progress(net, epoch / 5)
        optimizer = steps(net, 2, optimizer)
    masks = masks_of(net)
    assert [int(m.flatten(1).any(1).sum()) for m in masks.values()] == [6, 8]
    for name, mask in masks.items():
        layer = net.get_submodule(name)
        assert layer.weight.grad[~mask].any()
        assert not layer.binarized_weight()[~mask].any()
    full = bw.binarize(float_net(), bw.methods.xnor_net())
    x = images()
    expected = full(x)
    assert torch.equal(stq_nets(full, 1.0)(x), expected)
