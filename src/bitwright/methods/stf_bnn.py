"""STF-BNN-style: a trained network's first layer becomes Bayesian; everything behind it stays as it is, packed.

Here the B of BNN stands for Bayesian. Retrained alone, a first layer reaches many different optima: its posterior is
wide, while that of the whole network is too large to learn. So the network is trained as usual, by any method; then
mean and deviation of each weight of its first layer are learned by variational inference, all other tensors frozen.
This is no `Method` for `binarize` but comes after one:

    net = bw.methods.stf_bnn(trained, images=50_000)
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], 1e-3)

and the loop is the usual one, with `bw.penalty` for the divergence from the prior. It must not call `net.train()`, see
`bitwright.nn.bayesian.hold_rest`. Recipes have a table `[bayesian]`.

Deployed: the packed network unchanged, and one number more for each weight of the first layer. `bw.load` runs the means
at the old cost; `bw.uncertainty.load` draws S first layers from a seed and runs the rest S times.

Checked: the properties of mean-field inference (divergence against Monte Carlo, gradients, moments of the draws), and
the packed samples bit for bit against networks exported with these weights. Only the paper's abstract was at hand:
posterior family, prior, starting values, the frozen batch norm and all numbers are textbook choices of ours.

Reference: "Spatial-Temporal-Fusion BNN: Variational Bayesian Feature Layer", arXiv 2112.06281, 2021.
"""

from typing import TypeVar

from torch import nn

from bitwright.nn.bayesian import Bayesian, Centre, Divergence, Sampling, hold_rest, make_bayesian
from bitwright.nn.layers import BinaryConv2d, BinaryLinear

N = TypeVar("N", bound=nn.Module)


def stf_bnn(
    net: N,
    images: int,
    layer: str = "first",
    deviation: float = 0.05,
    prior: float = 1.0,
    centre: Centre = "zero",
    beta: float = 1.0,
    warmup: float = 0.0,
    sampling: Sampling = "local",
) -> N:
    """Make one layer of a trained network Bayesian and freeze the rest, in place.

    q(w) = prod N(w_i; mu_i, sigma_i^2) and p(w) = prod N(w_i; m_i, prior^2); minimised is the cross-entropy over draws
    of the layer's output, plus beta / images * KL(q || p). Trained are mu and rho, sigma = log(1 + e^rho): twice as
    many numbers as the layer has weights. A bias stays fixed.

    Args:
        net: The network, trained; its tensors keep their names, and `<layer>.rho` joins them.
        images: How many the training set has, N of the bound.
        layer: Which, by its name; "first" is the first convolution or linear layer that the network defines.
        deviation: sigma at the start, as a share of the standard deviation of the layer's weights.
        prior: Standard deviation of the prior.
        centre: Mean of the prior, m: "zero", or the "trained" weights.
        beta: Factor of the divergence; less than 1 trusts the data more.
        warmup: Share of training in which beta grows from 0.
        sampling: "local" draws each element of the output, "weights" one set of weights for a batch.

    Returns:
        The same network, all but the layer in eval mode.

    Raises:
        ValueError: There is no such layer, its weights are binary, or a setting is out of range.
    """
    chosen, target = _find(net, layer)
    if images < 1 or not beta >= 0 or not 0 <= warmup <= 1:
        raise ValueError(
            "expected 1 image or more, beta of 0 or more and warmup from 0 to 1, "
            f"found images={images}, beta={beta}, warmup={warmup}"
        )
    try:
        make_bayesian(
            target, Divergence(images, beta, warmup), deviation=deviation, prior=prior, centre=centre, sampling=sampling
        )
    except ValueError as error:
        raise ValueError(f"{chosen or 'the module'}: {error}") from None
    net.requires_grad_(False)
    for parameter in (target.weight, target.get_parameter("rho")):
        parameter.requires_grad_()
    hold_rest(net)
    return net


def _find(net: nn.Module, layer: str) -> tuple[str, nn.Conv2d | nn.Linear]:
    layers = {name: m for name, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    if any(isinstance(m, Bayesian) for m in layers.values()):
        raise ValueError(f"{type(net).__name__} has a Bayesian layer already")
    if not layers or layer not in ("first", *layers):
        raise ValueError(f"{type(net).__name__} has no layer {layer!r}; it has {', '.join(layers) or 'none'}")
    name = layer if layer in layers else next(iter(layers))
    if isinstance(layers[name], BinaryConv2d | BinaryLinear):
        raise ValueError(f"{name} is binary, and binary weights have no Gaussian: name a layer with real weights")
    return name, layers[name]
