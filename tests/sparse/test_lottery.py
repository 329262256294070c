"""Rounds of pruning with rewinding."""

import copy

import pytest
import torch
from nets import binary_net, float_net, steps

from bitwright.sparse import LotteryTicket, Magnitude, density_of, masks_of, prune, pruned_layers


@pytest.mark.parametrize("make", [binary_net, float_net])
def test_rounds_are_nested_and_rewind(make):
    net = prune(make(), Magnitude(), 1.0, fill="zero")
    ticket = LotteryTicket(net)
    steps(net, 2)
    ticket.remember()
    early = copy.deepcopy(net.state_dict())
    before = masks_of(net)
    for n in range(1, 6):
        steps(net, 2)
        masks = ticket.next_round()
        assert density_of(net) == pytest.approx(0.8**n, abs=n / 2000)
        assert all((masks[name] <= before[name]).all() for name in masks)
        before = masks
        for key, value in net.state_dict().items():
            if key.endswith(("mask", "high")):
                continue
            assert value.shape == early[key].shape
            name = key.removesuffix(".weight").removesuffix(".parametrizations.weight.original")
            kept = masks.get(name, torch.tensor(True)) if key.endswith(("weight", "original")) else torch.tensor(True)
            assert torch.equal(value, torch.where(kept, early[key], 0 * early[key]))
    steps(net, 2)
    assert all(not weight[~masked.mask].any() for masked, weight in pruned_layers(net).values())


@pytest.mark.parametrize("make", [binary_net, float_net])
def test_a_random_start_draws_anew_and_keeps_the_mask(make):
    net = prune(make(), Magnitude(), 1.0)
    ticket = LotteryTicket(net, fraction=0.5)
    before = {name: weight.clone() for name, (_, weight) in pruned_layers(net).items()}
    ticket.next_round("random")
    assert density_of(net) == pytest.approx(0.5, abs=1e-3)
    for name, (masked, weight) in pruned_layers(net).items():
        assert (weight != before[name])[masked.mask].all()


def test_keep_goes_on_from_where_it_is():
    net = prune(binary_net(), Magnitude(), 1.0, fill="zero")
    ticket = LotteryTicket(net)
    steps(net, 2)
    before = {name: weight.clone() for name, (_, weight) in pruned_layers(net).items()}
    ticket.next_round("keep")
    assert all(torch.equal(weight, before[n] * m.mask) for n, (m, weight) in pruned_layers(net).items())


def test_a_ticket_goes_on_from_a_checkpoint():
    torch.manual_seed(0)
    net = prune(binary_net(), Magnitude(), 1.0)
    twin = copy.deepcopy(net)
    ticket, other = LotteryTicket(net), LotteryTicket(twin)
    steps(net, 2)
    ticket.next_round()
    steps(net, 2)
    twin.load_state_dict(net.state_dict())
    other.load_state_dict(ticket.state_dict())
    first, second = ticket.next_round(), other.next_round()
    assert other.rounds == 2 and all(torch.equal(first[n], second[n]) for n in first)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), twin.state_dict().values(), strict=True))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="has no masks"):
        LotteryTicket(binary_net())
    net = prune(binary_net(), Magnitude(), 1.0)
    with pytest.raises(ValueError, match="fraction: expected"):
        LotteryTicket(net, 1.0)
    with pytest.raises(ValueError, match="start: expected"):
        LotteryTicket(net).next_round("again")
