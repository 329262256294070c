"""The three verbs: what they reach, and what they refuse."""

import pytest
import torch
from torch import nn

from bitwright.core.hooks import after_step, latent_weights, penalty, set_progress
from bitwright.methods import bi_real_net, sbnn, sbnn_v1
from bitwright.nn.convert import binarize, binarize_parameter


def small(method) -> nn.Module:
    return binarize(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)), method, where=["0", "1"])


def test_verbs_do_nothing_where_nobody_asks() -> None:
    for net in (nn.Linear(2, 2), small(bi_real_net())):
        before = {k: v.clone() for k, v in net.state_dict().items()}
        set_progress(net, 0.3)
        after_step(net)
        assert penalty(net).item() == 0 and penalty(net, torch.tensor(3.0)).shape == ()
        assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


@pytest.mark.parametrize("progress", [-0.01, 1.01, float("nan"), float("inf"), "0.5", None])
def test_progress_outside_zero_to_one_is_refused(progress: object) -> None:
    with pytest.raises(ValueError, match=r"progress: expected a number from 0"):
        set_progress(small(sbnn()), progress)  # type: ignore[arg-type]


def test_progress_reaches_weights_and_activations() -> None:
    net = small(sbnn())
    set_progress(net, 1)
    assert net[0].weight_binarizer.sign.t == net[1].input_binarizer.t == 10


def test_after_step_projects_latent_weights() -> None:
    net = small(sbnn())
    net[0].weight.data.fill_(9)
    after_step(net)
    assert (net[0].weight == 1.5).all()
    assert net[0].weight.requires_grad


def test_penalty_spans_all_layers_and_has_no_gradient_through_the_loss() -> None:
    net = small(sbnn(0.9, gamma=0.2))
    for layer in net[:2]:
        layer.weight.data.fill_(1.0)
    loss = torch.tensor(2.0, requires_grad=True)
    term = penalty(net, loss)
    assert term.item() == pytest.approx(0.2 / 0.8 * 2)
    term.backward()
    assert loss.grad is None
    assert net[0].weight.grad.allclose(torch.tensor(0.2 * 2 / (0.9 * 0.8) / (2 * 32)))


def test_tied_weights_count_once() -> None:
    net = small(sbnn())
    net[1].weight = net[0].weight
    net[0].weight.data.fill_(1.0)
    penalty(net).backward()
    once = net[0].weight.grad.clone()
    assert once.allclose(torch.tensor(0.07 / 0.93 / 0.95 / (2 * 16)))


def test_a_module_says_what_of_its_weight_is_penalized() -> None:
    net = small(sbnn_v1(0.9, gamma=0.2, threshold=0.5))
    net[0].weight.data.fill_(0.4)
    net[1].weight.data.fill_(-0.4)
    assert penalty(net).item() == 0
    net[1].weight.data.fill_(0.6)
    term = penalty(net)
    term.backward()
    assert term.item() == pytest.approx(0.25)
    assert net[0].weight.grad.allclose(torch.tensor(0.25 / (0.5 - 0.1) / (2 * 32)))


def test_verbs_reach_parametrized_parameters() -> None:
    layer = nn.Conv1d(3, 4, 3)
    binarize_parameter(layer, "weight", sbnn().weight(layer))
    assert len(list(latent_weights(layer))) == 1
    latent = layer.parametrizations.weight.original
    latent.data.fill_(5.0)
    set_progress(layer, 1.0)
    after_step(layer)
    assert (latent == 1.5).all()
    assert layer.parametrizations.weight[0].sign.t == 10
    assert penalty(layer).item() > 0
    assert layer.weight.unique().numel() == 1
