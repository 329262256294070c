"""The recipe's table [pruning]: masks through epochs, checkpoints, stages and the model file."""

import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_data, tiny_recipe

from bitwright.errors import RecipeError
from bitwright.sparse import density_of, masks_of
from bitwright.train import load_model, parse_recipe, resume_run, train, write_recipe
from bitwright.train.catalogue import build_network
from bitwright.train.model_file import load_start

CUBIC = ("pruning.name=magnitude", "pruning.density=0.3")
STAGES = (
    'stages=[{name = "dense", epochs = 2}, '
    '{name = "sparse", pruning = {name = "magnitude", density = 0.3, end = 0, fill = "low"}}]'
)


def run(folder, *overrides, **options):
    return train(tiny_recipe(*overrides), folder, data=tiny_data(), progress=False, **options)


@pytest.mark.parametrize("fill", ["low", "zero"])
@pytest.mark.parametrize("name", ["magnitude", "random", "filters", "kernels"])
def test_a_run_ends_at_its_density(name, fill, tmp_path):
    settings = (f"pruning.name={name}", f"pruning.fill={fill}", "pruning.scope=layer")
    done = run(tmp_path / "run", *CUBIC, *settings, 'method={name = "bi_real_net"}')
    net = load_model(done.folder).net
    assert done.epoch >= 3  # earlier ones are still on the ramp
    share = density_of(net)
    assert share == pytest.approx(0.3, abs=0.02 if name == "magnitude" else 0.1)
    assert fill == "low" or done.density == pytest.approx(share)
    for found in masks_of(net).values():
        rows = found.flatten(1)
        assert name != "filters" or (rows.all(1) == rows.any(1)).all()


@pytest.mark.parametrize("more", [(), ("pruning.regrow=true", "pruning.freeze=0.75"), ("schedule.per=step",)])
def test_two_and_two_epochs_are_four(more, tmp_path):
    whole = run(tmp_path / "whole", *CUBIC, *more)
    run(tmp_path / "run", *CUBIC, *more, stop_after=2)
    torch.rand(3)
    done = resume_run(tmp_path / "run", data=tiny_data(), progress=False)
    one, two = load_file(whole.model), load_file(done.model)
    assert one.keys() == two.keys() and any(name.endswith("mask") for name in one)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_float_networks_are_pruned_too(tmp_path):
    done = run(tmp_path / "run", *CUBIC, 'method={name = "none"}', "epochs=3")
    net = load_model(done.folder).net
    assert density_of(net) == done.density == pytest.approx(0.3, abs=1e-3)
    assert done.layers.keys() == masks_of(net).keys()


def test_a_dense_stage_before_a_sparse_one_keeps_its_levels(tmp_path):
    done = run(tmp_path / "run", STAGES)
    net = load_model(done.folder).net
    assert density_of(net) == pytest.approx(0.3, abs=1e-3)
    start = build_network(tiny_recipe("network.in_channels=1", "network.num_classes=3", "network.size=8", *CUBIC))
    dense = load_file(done.folder / "1-dense" / "model.safetensors")
    load_start(start, done.folder / "1-dense")
    levels = [name for name in dense if name.endswith("weight_binarizer.tau")]
    assert levels
    for name in levels:
        assert torch.equal(start.state_dict()[name.replace(".tau", ".wrapped.tau")], dense[name])


def test_the_table_survives_writing():
    recipe = tiny_recipe(*CUBIC, "pruning.n=1")
    assert recipe.pruning.density == 0.3
    assert parse_recipe(write_recipe(recipe)) == recipe


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("pruning.name=size",), "pruning.name"),
        (("pruning.density=2",), "pruning.density must be from 0 to 1"),
        (("pruning.start=0.6",), "pruning.end must be"),
        ((*CUBIC, "pruning.end=1"), "reached before the last epoch"),
        (("pruning.n=5",), "from 1 to pruning.m"),
        ((*CUBIC, "binary=activations"), "stays real in this stage"),
    ],
)
def test_mistakes_are_named(overrides, message, tmp_path):
    with pytest.raises(RecipeError, match=message):
        run(tmp_path / "run", *overrides)
