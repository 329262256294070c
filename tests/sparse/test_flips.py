"""Counting sign changes, and the widths that follow."""

import pytest
import torch
from nets import binary_net, float_net, images

import bitwright as bw
from bitwright.sparse import FewFlips, FlipCounter, masks_of, prune, scramble_insensitive, shrunk_widths


def play(net, counter: FlipCounter, *signs: str) -> None:
    """Epochs in which the first weights of layer 2 have these signs, one weight a string."""
    weight = net.get_submodule("2").weight.data.view(-1)
    for epoch in zip(*signs, strict=True):
        weight[: len(signs)] = torch.tensor([{"+": 0.5, "-": -0.5, "0": 0.0}[sign] for sign in epoch])
        counter.end_epoch()


def test_changes_of_sign_are_counted_and_zero_is_positive():
    net = binary_net()
    net.get_submodule("2").weight.data.fill_(0.5)
    counter = FlipCounter(net)
    play(net, counter, "+--+", "0+0+", "-0-0", "----")
    assert counter.flips["2"].view(-1)[:4].tolist() == [2, 0, 4, 1]
    assert counter.insensitive()["2"] == pytest.approx(3 / 864)
    assert counter.insensitive(threshold=1) == {"2": pytest.approx(2 / 864), "4": 0}


def test_an_interval_is_the_difference_of_totals():
    net = binary_net()
    net.get_submodule("2").weight.data.fill_(0.5)
    whole, late = FlipCounter(net), FlipCounter(net)
    play(net, whole, "-+-", "+++")
    late.reset()
    early = whole.flips["2"].clone()
    for sign in ("+", "-", "-"):
        net.get_submodule("2").weight.data.view(-1)[0] = 0.5 if sign == "+" else -0.5
        whole.end_epoch()
        late.end_epoch()
    assert torch.equal(whole.flips["2"] - early, late.flips["2"])
    assert late.flips["2"].view(-1)[0] == 2


def test_a_checkpoint_counts_on():
    net = binary_net()
    counter = FlipCounter(net)
    play(net, counter, "+-", "-+")
    other = FlipCounter(net)
    other.load_state_dict(counter.state_dict())
    play(net, other, "+", "-")
    assert (other.flips["2"].view(-1)[:2] >= 2).all()


def test_few_flips_as_a_criterion():
    net = binary_net()
    net.get_submodule("2").weight.data.fill_(0.5)
    counter = FlipCounter(net)
    play(net, counter, "-+-+", "-+++")
    mask = masks_of(prune(net, FewFlips(counter), 1 - 2 / (864 + 1728)))["2"].view(-1)
    assert not mask[:2].any() and mask[2:].all()


def test_widths_shrink_by_the_insensitive_share():
    widths = {"a": 64, "b": 64, "c": 10, "d": 3}
    shares = {"a": 0.25, "b": 0.5, "c": 1.0}
    assert shrunk_widths(widths, shares) == {"a": 48, "b": 32, "c": 1, "d": 3}
    assert shrunk_widths(widths, shares, tied=[["a", "b"]]) == {"a": 48, "b": 48, "c": 1, "d": 3}
    with pytest.raises(ValueError, match="a: expected a share"):
        shrunk_widths(widths, {"a": 1.5})


def test_a_smaller_network_has_the_predicted_size():
    net = bw.zoo.vgg_small(4, 1, width=16)
    halved = shrunk_widths({"width": 16}, {"width": 0.5})["width"]
    small = bw.zoo.vgg_small(4, 1, width=halved)
    inner = lambda n: sum(p.numel() for p in n.parameters() if p.dim() == 4 and p.shape[1] > 1)  # noqa: E731
    assert inner(net) == 4 * inner(small)


def test_only_insensitive_weights_are_scrambled():
    net = binary_net()
    counter = FlipCounter(net)
    before = {name: layer.weight.detach().clone() for name, layer in counter.layers.items()}
    counter.flips["2"][:6] = 1
    scramble_insensitive(counter)
    layer = net.get_submodule("2")
    assert torch.equal(layer.weight.abs(), before["2"].abs()) and torch.equal(layer.weight[6:], before["2"][6:])
    turned = (layer.weight[:6] != before["2"][:6]).float().mean()
    assert 0.35 < turned < 0.65
    assert torch.equal(net.get_submodule("4").weight, before["4"])
    assert net(images()).isfinite().all()


def test_a_float_network_has_no_flips():
    with pytest.raises(ValueError, match="no layer with binary weights"):
        FlipCounter(float_net())
