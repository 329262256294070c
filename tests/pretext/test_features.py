"""Heads and bodies of all networks, and what frozen features are worth."""

import pytest
import torch
import torch.nn.functional as F
from networks import NETWORKS, SIDES
from torch import nn

import bitwright as bw
from bitwright.pretext import body_features, fit_linear, head_name, projection_head, replace_head, vote_of_neighbours
from bitwright.pretext.heads import in_head


@pytest.mark.parametrize("name", NETWORKS)
def test_the_body_of_every_network_keeps_its_names(name):
    net = NETWORKS[name]()
    before = {n for n in net.state_dict() if not in_head(net, n)}
    replace_head(net, lambda features: projection_head(features, outputs=5))
    assert {n for n in net.state_dict() if not in_head(net, n)} == before
    bw.binarize(net, bw.methods.bi_real_net())
    net.eval()
    x = torch.rand(2, 1, SIDES[name], SIDES[name])
    with torch.no_grad():
        features = body_features(net, x)
        torch.testing.assert_close(net.classifier(features), net(x))
    assert type(net.classifier[0]) is nn.Linear and net(x).shape == (2, 5)


def test_other_networks_have_their_last_linear_layer_for_a_head():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 2)))
    assert head_name(net) == "2.0"
    replace_head(net, lambda features: nn.Linear(features, 7))
    assert net(torch.randn(2, 3)).shape == (2, 7) and net.real_layers == ("0", "2.0")
    with pytest.raises(ValueError, match="has no head"):
        head_name(nn.Sequential(nn.ReLU()))
    net.classifier = nn.ReLU()
    with pytest.raises(ValueError, match=r"expected a head with an nn\.Linear, found ReLU"):
        replace_head(net, nn.Identity)


def test_neighbours_vote_by_their_similarity():
    bank = F.normalize(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [-1.0, 0.0]]), dim=1)
    labels = torch.tensor([0, 1, 1, 2])
    votes = vote_of_neighbours(torch.tensor([[5.0, 0.0]]), bank, labels, 3, k=3, temperature=0.2)
    s = bank @ torch.tensor([1.0, 0.0])
    w = ((s - 1) / 0.2).exp()
    torch.testing.assert_close(votes, torch.stack([w[0], w[1] + w[2], torch.tensor(0.0)])[None])
    nearest = vote_of_neighbours(bank, bank, labels, 3, k=1)
    assert torch.equal(nearest.argmax(1), labels)
    assert vote_of_neighbours(bank, bank, labels, 3, k=99).shape == (4, 3)
    with pytest.raises(ValueError, match="k of at least 1"):
        vote_of_neighbours(bank, bank, labels, 3, k=0)


def test_neighbours_of_many_queries_are_those_of_each():
    bank, queries = torch.randn(50, 4), torch.randn(1030, 4)
    labels = torch.randint(0, 3, (50,))
    all_votes = vote_of_neighbours(queries, bank, labels, 3, k=5)
    torch.testing.assert_close(all_votes[1025:1026], vote_of_neighbours(queries[1025:1026], bank, labels, 3, k=5))


def test_the_linear_classifier_is_the_minimum_of_its_loss():
    features = torch.randn(300, 6) * torch.tensor([1.0, 10.0, 0.1, 1.0, 1.0, 5.0]) + 3
    labels = torch.randint(0, 3, (300,))
    layer = fit_linear(features, labels, 3, decay=0.01)
    assert not any(p.requires_grad for p in layer.parameters())
    mean, scale = features.mean(0), features.std(0, correction=0)
    w = (layer.weight * scale).requires_grad_()
    b = (layer.bias + layer.weight @ mean).requires_grad_()
    x = (features - mean) / scale
    torch.testing.assert_close(x @ w.T + b, layer(features), atol=1e-4, rtol=1e-4)
    loss = F.cross_entropy(x @ w.T + b, labels) + 0.005 * w.square().sum()
    gradients = torch.autograd.grad(loss, (w, b))
    assert max(g.abs().max() for g in gradients) < 1e-4


def test_the_linear_classifier_separates_what_a_line_separates():
    labels = torch.randint(0, 4, (400,))
    features = torch.randn(400, 8) * 0.1 + F.one_hot(labels, 8)
    assert (fit_linear(features, labels, 4)(features).argmax(1) == labels).all()
    constant = torch.cat([features, torch.ones(400, 1)], 1)  # a dead feature does no harm
    assert (fit_linear(constant, labels, 4)(constant).argmax(1) == labels).all()
    with pytest.raises(ValueError, match="as many labels as features"):
        fit_linear(features, labels[1:], 4)
