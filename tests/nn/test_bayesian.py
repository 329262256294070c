"""Gaussian weights: what is drawn, what it costs in the loss, and what a checkpoint says about them."""

import copy
import math
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import bitwright as bw
from bitwright.nn.bayesian import Bayesian, Divergence, hold_rest, initial_rho, make_bayesian


def convolution(**settings) -> Bayesian:
    layer = make_bayesian(nn.Conv2d(2, 3, 3, stride=2, padding=1, groups=1), Divergence(10), **settings)
    assert isinstance(layer, Bayesian)
    return layer


def spread(layer: Bayesian) -> Bayesian:
    """Deviations that differ, and are large enough to see."""
    with torch.no_grad():
        layer.rho.uniform_(-2, 0)
    return layer


LAYERS = {
    "convolution": (lambda: nn.Conv2d(2, 3, 3, stride=2, padding=1), (2, 5, 6)),
    "grouped": (lambda: nn.Conv2d(4, 6, (3, 2), groups=2, dilation=2, bias=False), (4, 7, 6)),
    "linear": (lambda: nn.Linear(5, 4), (5,)),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_in_eval_it_is_the_ordinary_layer(kind):
    make, shape = LAYERS[kind]
    layer = make()
    x, parameters = torch.randn(2, *shape), dict(layer.named_parameters())
    expected = layer(x)
    assert make_bayesian(layer, Divergence(10)) is layer
    assert all(dict(layer.named_parameters())[name] is value for name, value in parameters.items())
    assert torch.equal(layer.eval()(x), expected)
    assert not torch.equal(layer.train()(x), expected)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("sampling", ["local", "weights"])
def test_draws_have_the_moments_of_the_posterior(kind, sampling):
    make, shape = LAYERS[kind]
    layer = spread(make_bayesian(make(), Divergence(10), sampling=sampling))
    x = torch.randn(1, *shape)
    with torch.no_grad():
        draws = torch.stack([layer(x) for _ in range(4000)])
        mean, variance = layer._sum(x, layer.weight, layer.bias), layer._sum(x**2, layer.deviation**2, None)
    error = (draws.mean(0) - mean) / (variance / len(draws)).sqrt()
    assert error.abs().max() < 5
    assert (draws.var(0) / variance - 1).abs().max() < 5 * math.sqrt(2 / len(draws))


def test_without_deviation_a_draw_is_the_mean():
    x = torch.randn(3, 2, 6, 6)
    for sampling in ("local", "weights"):
        layer = convolution(sampling=sampling)
        with torch.no_grad():
            layer.rho.fill_(-300)
        assert (layer.deviation == 0).all()
        torch.testing.assert_close(layer(x), layer.eval()(x), rtol=0, atol=1e-7)


def test_no_image_makes_gradients_infinite():
    layer = convolution()
    layer(torch.zeros(1, 2, 6, 6)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize("centre", ["zero", "trained"])
def test_the_divergence_is_that_of_gaussians(centre):
    layer = spread(convolution(prior=0.7, centre=centre))
    with torch.no_grad():
        layer.weight += 0.1
    m = 0 if layer.prior_mean is None else layer.prior_mean
    q, p = (torch.distributions.Normal(mean, sigma) for mean, sigma in ((layer.weight, layer.deviation), (m, 0.7)))
    torch.testing.assert_close(layer.kl(), torch.distributions.kl_divergence(q, p).sum())
    w = q.sample((20_000,))
    drawn = (q.log_prob(w) - p.log_prob(w)).sum((1, 2, 3, 4))
    assert (drawn.mean() - layer.kl()).abs() < 5 * drawn.std() / math.sqrt(len(drawn))


def test_the_divergence_vanishes_where_posterior_and_prior_agree_and_nowhere_else():
    layer = convolution(prior=0.3)
    with torch.no_grad():
        layer.weight.zero_()
        layer.rho.fill_(math.log(math.expm1(0.3)))
    assert layer.kl().abs() < 1e-5
    layer.kl().backward()
    assert layer.weight.grad.abs().max() == 0 and layer.rho.grad.abs().max() < 1e-6
    for parameter in (layer.weight, layer.rho):
        with torch.no_grad():
            parameter[0, 0, 0, 0] += 0.5
        assert layer.kl() > 1e-2
        with torch.no_grad():
            parameter[0, 0, 0, 0] -= 0.5


def test_gradients_of_draws_and_of_the_divergence_are_those_of_the_formula():
    layer = spread(convolution()).double()
    x = torch.randn(1, 2, 4, 4, dtype=torch.double)

    def loss(weight: Tensor, rho: Tensor) -> Tensor:
        torch.manual_seed(3)
        values = {"weight": weight, "rho": rho}
        return torch.func.functional_call(layer, values, (x,)).square().sum()

    assert torch.autograd.gradcheck(loss, (layer.weight, layer.rho))

    def divergence(weight: Tensor, rho: Tensor) -> Tensor:
        term = -rho.exp().log1p().log() + rho.exp().log1p() ** 2 / 2 - 0.5
        return (weight**2).sum() / 2 + term.sum()

    expected = torch.autograd.grad(divergence(layer.weight, layer.rho), (layer.weight, layer.rho))
    for found, wanted in zip(torch.autograd.grad(layer.kl(), (layer.weight, layer.rho)), expected, strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("bias", [False, True])
def test_the_penalty_is_the_share_of_the_divergence(bias):
    layer = make_bayesian(nn.Conv2d(2, 3, 3, bias=bias), Divergence(50, beta=0.5, warmup=0.4))
    net = nn.Sequential(layer, nn.Flatten())
    for progress, share in ((0.0, 0.0), (0.1, 0.25), (0.4, 1.0), (1.0, 1.0)):
        bw.set_progress(net, progress)
        torch.testing.assert_close(bw.penalty(net), share * 0.5 / 50 * layer.kl())
    layer.divergence.images = 100
    torch.testing.assert_close(bw.penalty(net), 0.5 / 100 * layer.kl())


def test_first_deviations_are_a_share_of_the_weights_spread():
    layer = convolution(deviation=0.1)
    torch.testing.assert_close(layer.deviation, torch.full_like(layer.rho, 0.1 * layer.weight.std(correction=0).item()))
    assert initial_rho(torch.ones(3), 0.1).isfinite().all()


def test_a_checkpoint_of_the_ordinary_layer_starts_it_anew_and_its_own_is_kept():
    layer, trained = convolution(centre="trained"), nn.Conv2d(2, 3, 3, stride=2, padding=1)
    layer.load_state_dict(trained.state_dict())
    assert torch.equal(layer.prior_mean, trained.weight)
    assert torch.equal(layer.rho, initial_rho(trained.weight, 0.05))
    other = convolution(centre="trained")
    other.load_state_dict(spread(layer).state_dict())
    assert torch.equal(other.rho, layer.rho) and torch.equal(other.prior_mean, layer.prior_mean)


def test_copies_and_pickles_have_a_divergence_of_their_own():
    layer = spread(convolution())
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin.kl(), layer.kl())
        bw.set_progress(twin, 0.5)
        assert layer.divergence.progress == 1.0
        with torch.no_grad():
            twin.rho += 1
        assert not torch.equal(bw.penalty(twin), bw.penalty(layer))


@pytest.mark.parametrize("sampling", ["local", "weights"])
def test_it_compiles_in_one_graph(sampling):
    layer, x = spread(convolution(sampling=sampling)), torch.randn(2, 2, 6, 6)
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    torch.manual_seed(1)
    expected = layer(x)
    torch.manual_seed(1)
    torch.testing.assert_close(compiled(x), expected)


def test_hold_rest_wakes_the_bayesian_layer_alone():
    net = nn.Sequential(convolution(), nn.BatchNorm2d(3))
    hold_rest(net)
    assert [module.training for module in net.modules()] == [False, True, False]
    plain = nn.Sequential(nn.BatchNorm2d(3)).train()
    hold_rest(plain)
    assert plain[0].training


@pytest.mark.parametrize(
    ("layer", "settings", "message"),
    [
        (nn.Conv1d(1, 1, 1), {}, "found Conv1d"),
        (nn.Conv2d(1, 1, 1, padding_mode="circular"), {}, "found 'circular'"),
        (nn.Linear(1, 1), {"deviation": 0.0}, "deviation: expected a number above 0, found 0.0"),
        (nn.Linear(1, 1), {"prior": -1.0}, "prior: expected a number above 0"),
        (nn.Linear(1, 1), {"centre": "mean"}, "found 'mean' and 'local'"),
        (nn.Linear(1, 1), {"sampling": "all"}, "found 'zero' and 'all'"),
    ],
)
def test_what_cannot_be_bayesian_is_refused_and_stays_as_it_was(layer, settings, message):
    kind = type(layer)
    with pytest.raises(ValueError, match=message):
        make_bayesian(layer, Divergence(10), **settings)
    assert type(layer) is kind and not hasattr(layer, "rho")


def test_a_step_of_training_lowers_the_bound():
    layer = spread(make_bayesian(nn.Linear(6, 3), Divergence(1000)))
    optimizer = torch.optim.Adam([layer.weight, layer.rho], 5e-2)
    x = torch.randn(64, 6)
    target = (x[:, 0] > 0).long() + (x[:, 1] > 0)
    losses = []
    for _ in range(80):
        loss = F.cross_entropy(layer(x), target) + bw.penalty(layer)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
