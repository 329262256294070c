"""MoCo: the loss against its formula, the slow copy, and the queue."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bitwright.pretext import MomentumNetwork, queue_logits


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def test_the_cross_entropy_with_label_0_is_infonce():
    queries, keys, queue, temperature = torch.randn(5, 4), torch.randn(5, 4), torch.randn(7, 4), 0.2
    q, k, old = (rows / rows.norm(dim=1, keepdim=True) for rows in (queries, keys, queue))
    expected = 0.0
    for i in range(5):
        own, others = torch.exp(q[i] @ k[i] / temperature), torch.exp(old @ q[i] / temperature).sum()
        expected = expected - torch.log(own / (own + others)) / 5
    logits = queue_logits(queries, keys, queue, temperature)
    torch.testing.assert_close(F.cross_entropy(logits, torch.zeros(5, dtype=torch.int64)), expected)
    assert logits.shape == (5, 8)
    with pytest.raises(ValueError, match="temperature: expected"):
        queue_logits(queries, keys, queue, 0.0)


def test_the_oldest_keys_leave_the_queue_first():
    net = network()
    slow = MomentumNetwork(net, outputs=2, size=8, seed=5)
    start = slow.queue
    torch.testing.assert_close(start.norm(dim=1), torch.ones(8))
    answers = [slow.answer(net, torch.randn(3, 3)) for _ in range(2)]
    assert torch.equal(slow.queue, torch.cat([start[6:], *answers]))
    last = slow.answer(net, torch.randn(9, 3))  # a batch longer than the queue
    assert torch.equal(slow.queue, last[1:])
    torch.testing.assert_close(slow.queue.norm(dim=1), torch.ones(8))


def test_parameters_follow_slowly_and_the_network_stays():
    net = network()
    slow = MomentumNetwork(net, outputs=2, size=4, momentum=0.9)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1.0)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    start = slow.parameters
    keys = slow.answer(net, torch.randn(6, 3))
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert not keys.requires_grad and all(parameter.grad is None for parameter in net.parameters())
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(slow.parameters[name], 0.9 * start[name] + 0.1 * parameter.detach())


def test_without_momentum_the_copy_is_the_network():
    net, x = network(), torch.randn(6, 3)
    slow = MomentumNetwork(network(), outputs=2, size=4, momentum=0.0)
    torch.testing.assert_close(slow.answer(net, x), F.normalize(net(x), dim=1))


def test_a_copy_goes_on_from_its_state():
    net, x = network(), torch.randn(6, 3)
    one, two = (MomentumNetwork(made, outputs=2, size=8, seed=seed) for seed, made in enumerate((net, network())))
    one.answer(net, x)
    two.load(one.state())
    assert torch.equal(one.answer(net, x), two.answer(net, x)) and torch.equal(one.queue, two.queue)
