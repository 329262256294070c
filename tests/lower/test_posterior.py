"""Which Bayesian layers a file can hold."""

import pytest
from torch import nn

from bitwright.errors import LoweringError
from bitwright.ir import ops
from bitwright.lower.posterior import posterior_meta
from bitwright.nn.bayesian import Divergence, make_bayesian


def bayesian(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    make_bayesian(layer, Divergence(10))
    return layer


def graph(*layers: nn.Linear) -> dict[str, ops.Op]:
    """The ops of some layers, which are called after their number."""
    weights = [layer.weight.detach().numpy() for layer in layers]
    return {str(i): ops.Linear(name=str(i), inputs=("x",), weight=w, bias=None) for i, w in enumerate(weights)}


def test_an_ordinary_network_has_none():
    assert posterior_meta(nn.Linear(3, 2), {}) == {}


def test_the_op_is_found_by_its_weights():
    first, second = nn.Linear(4, 3), bayesian(3, 2)
    meta = posterior_meta(nn.Sequential(first, second), graph(first, second))
    assert meta["posterior"].startswith("1\n")


def test_what_a_file_cannot_hold_is_named():
    first, second = bayesian(4, 3), bayesian(3, 2)
    with pytest.raises(LoweringError, match="0, 1: expected one Bayesian layer, found 2"):
        posterior_meta(nn.Sequential(first, second), graph(first, second))
    for runs in ([], [first, first]):
        with pytest.raises(LoweringError, match=f"that runs once, as one op, found {len(runs)}"):
            posterior_meta(nn.Sequential(first), graph(*runs))
    with pytest.raises(LoweringError, match="at most 190000 deviations for a file, found 200000"):
        posterior_meta(nn.Sequential(bayesian(1000, 200)), {})
