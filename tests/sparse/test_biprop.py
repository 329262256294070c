"""Multi-prize tickets: exact counts, the best gain, scores that learn and weights that do not."""

import copy

import pytest
import torch
from nets import float_net, images, steps
from torch import nn

import bitwright as bw
from bitwright.lower import export
from bitwright.sparse import biprop
from bitwright.sparse.edge_popup import EdgePopup


def ticket(**options) -> nn.Module:
    return bw.binarize(float_net(), biprop(**options))


def popups(net: nn.Module) -> list[tuple[EdgePopup, torch.Tensor]]:
    return [(net.get_submodule(n).weight_binarizer, net.get_submodule(n).weight) for n in ("2", "4")]


@pytest.mark.parametrize("keep", [0.05, 0.2, 0.37, 0.5, 1.0])
def test_counts_are_exact_and_the_gain_is_the_least_squares_one(keep):
    for popup, w in popups(ticket(keep=keep, gain="least_squares")):
        n, mask = w.numel(), popup.mask
        assert int(mask.sum()) == n - int((1 - keep) * n)
        kept, signs = (w * mask).flatten(), torch.where(w >= 0, 1.0, -1.0).mul(mask).flatten()
        best = torch.linalg.lstsq(signs[:, None], kept[:, None]).solution.item()
        torch.testing.assert_close(popup(w).flatten(), best * signs)


def test_the_published_gain_may_be_off_by_one():
    exact, published = (EdgePopup(torch.Size((8, 4, 3, 3)), 0.37, gain) for gain in ("least_squares", "published"))
    published.load_state_dict(exact.state_dict())
    w = torch.randn(8, 4, 3, 3)
    torch.testing.assert_close(published(w) * 106, exact(w) * 107)


def test_scores_learn_and_weights_do_not():
    net = ticket(keep=0.3)
    popup, w = popups(net)[0]
    upstream = torch.randn(w.shape)
    popup(w).backward(upstream)
    torch.testing.assert_close(popup.scores.grad, upstream * w * popup.scores.sign())
    before, scores, mask = w.clone(), popup.scores.clone(), popup.mask
    steps(net, 5)
    assert torch.equal(w, before)
    assert not torch.equal(popup.scores, scores) and not torch.equal(popup.mask, mask)


def test_keeping_everything_gives_one_mean_for_the_layer():
    popup, w = popups(ticket(keep=1.0))[0]
    torch.testing.assert_close(popup(w), w.abs().mean() * torch.where(w >= 0, 1.0, -1.0))


def test_a_shared_threshold_keeps_the_share_over_all_layers():
    net = ticket(keep=0.2, scope="global", ramp=0.5)
    both = popups(net)
    with torch.no_grad():
        both[0][0].scores.mul_(3)
    optimizer = torch.optim.SGD(net.parameters(), 1e-6)
    for progress, kept in ((0.0, 0.5), (0.25, 0.2 + 0.3 / 8), (0.5, 0.2), (1.0, 0.2)):
        bw.set_progress(net, progress)
        steps(net, 1, optimizer)
        total = sum(w.numel() for _, w in both)
        assert sum(int(p.mask.sum()) for p, _ in both) == pytest.approx(kept * total, abs=1)
    assert both[0][0].mask.float().mean() > 0.4 > both[1][0].mask.float().mean()
    state = copy.deepcopy(net.state_dict())
    twin = ticket(keep=0.2, scope="global", ramp=0.5)
    twin.load_state_dict(state)
    x = images()
    assert torch.equal(net.eval()(x), twin.eval()(x))


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_tickets_export(scope, tmp_path):
    net = ticket(scope=scope, weights="constant")
    steps(net, 2)
    report = export(net, tmp_path / "net.bw", images())
    assert report.bits > 0 and report.differing == 0 and report.comparison.labels_differing == 0


def test_random_weights_are_drawn_as_published():
    w = popups(ticket(keep=0.5, weights="constant"))[1][1]
    torch.testing.assert_close(w.abs(), torch.full_like(w, (2 / (108 * 0.5)) ** 0.5))
    spread = popups(ticket(keep=0.5))[1][1].std()
    assert spread == pytest.approx((2 / (108 * 0.5)) ** 0.5, rel=0.1)
    net = float_net()
    own = net[2].weight.detach().clone()
    assert torch.equal(popups(bw.binarize(net, biprop(weights="as_they_are")))[0][1], own)


def test_tickets_learn():
    torch.manual_seed(0)
    x = torch.randn(64, 1, 8, 8)
    y = (x[:, 0, :4].mean((1, 2)) > x[:, 0, 4:].mean((1, 2))).long()
    net = ticket(keep=0.5)
    for n in ("0", "7"):
        net.get_submodule(n).requires_grad_(False)
    optimizer = torch.optim.Adam([popup.scores for popup, _ in popups(net)], 1e-2)
    for _ in range(60):
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (net(x).argmax(1) == y).float().mean() > 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 0}, "keep: expected"),
        ({"ramp": 2}, "ramp: expected"),
        ({"gain": "none"}, "gain: expected"),
        ({"weights": "ones"}, "weights: expected"),
        ({"scope": "net"}, "'layer' or 'global'"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        biprop(**options)
