import pytest
import torch

import bitwright as bw
from bitwright.errors import RecipeError
from bitwright.train.config import Optimizer, ParameterGroup, Schedule
from bitwright.train.optim import lr_factor, make_optimizer


def _factors(schedule, epochs):
    return [lr_factor(schedule, epoch, epochs) for epoch in range(epochs)]


def test_schedules():
    assert _factors(Schedule("cosine"), 4) == pytest.approx([1, 0.853553, 0.5, 0.146447], abs=1e-6)
    assert _factors(Schedule("linear"), 4) == [1, 0.75, 0.5, 0.25]
    assert _factors(Schedule("multistep", milestones=(3, 1), factor=0.5), 5) == [1, 0.5, 0.5, 0.25, 0.25]
    assert _factors(Schedule("constant"), 3) == [1, 1, 1]
    assert _factors(Schedule("exponential", factor=0.0625), 4) == [1, 0.5, 0.25, 0.125]
    assert lr_factor(Schedule("cosine"), 4, 4) == pytest.approx(0)


def test_warmup_rises_and_then_the_schedule_starts_at_the_top():
    assert _factors(Schedule("linear", warmup=2), 6) == pytest.approx([1 / 3, 2 / 3, 1, 0.75, 0.5, 0.25])


@pytest.mark.parametrize(("decay_on", "expected"), [("weights", 5), ("real", 4), ("all", 11)])
def test_weight_decay_acts_where_the_recipe_says(decay_on, expected):
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Conv2d(2, 2, 3), torch.nn.Conv2d(2, 2, 3),
        torch.nn.Linear(2, 2), torch.nn.Linear(2, 2, bias=False),
    )  # fmt: skip
    bw.binarize(net, bw.methods.bi_real_net(), where=lambda name, layer: name == "2")
    optimizer = make_optimizer(net, Optimizer(weight_decay=0.1, decay_on=decay_on))
    decayed = [p for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]]
    covered = [p for group in optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in covered} == {id(p) for p in net.parameters()} and len(covered) == len(list(net.parameters()))
    assert len(decayed) == expected
    assert any(p is net[2].weight for p in decayed) == (decay_on != "real")
    assert decay_on == "all" or all(p.ndim >= 2 for p in decayed)


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("adamw", "AdamW"), ("sgd", "SGD")])
def test_optimizers(name, kind):
    optimizer = make_optimizer(torch.nn.Linear(2, 2), Optimizer(name=name, lr=0.5))
    assert type(optimizer).__name__ == kind and optimizer.param_groups[0]["lr"] == 0.5


def test_groups_have_their_own_rate_and_decay_and_the_first_that_names_a_parameter_holds():
    net = bw.binarize(torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)), bw.methods.rbonn(), ["0"])
    groups = (
        ParameterGroup(("*.u",), lr=0.1),
        ParameterGroup(("*.scale", "1.*"), weight_decay=0.5),
        ParameterGroup(("*",), lr=0.0),
    )
    optimizer = make_optimizer(net, Optimizer(lr=2.0, weight_decay=0.25, groups=groups))
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    found = {
        names[id(p)]: (group["lr"], group["factor"], group["weight_decay"])
        for group in optimizer.param_groups for p in group["params"]
    }  # fmt: skip
    assert found == {
        "0.weight": (0, 0, 0.25), "0.bias": (0, 0, 0),
        "0.weight_binarizer.u": (0.2, 0.1, 0), "0.weight_binarizer.scale": (2, 1, 0.5),
        "1.weight": (2, 1, 0.5), "1.bias": (2, 1, 0.5),
    }  # fmt: skip


def test_a_pattern_that_names_nothing_is_refused():
    with pytest.raises(RecipeError, match=r"optimizer.groups: '\*.v' names no parameter; there are weight, ..."):
        make_optimizer(torch.nn.Linear(2, 2), Optimizer(groups=(ParameterGroup(("*.v",)),)))
