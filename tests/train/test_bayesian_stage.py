"""A stage that trains a Bayesian first layer and nothing else."""

import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_data, tiny_recipe

from bitwright.cli.export import export_model
from bitwright.errors import RecipeError
from bitwright.nn.bayesian import BayesianConv2d
from bitwright.train import load_model, parse_recipe, read_recipe, resume_run, train, write_recipe
from bitwright.uncertainty import load

STAGES = (
    "augmentation.mixup=0.0",
    'stages=[{name = "network", epochs = 1}, {name = "posterior", epochs = 2, bayesian = {layer = "first", '
    'deviation = 0.3}, optimizer = {groups = [{names = ["*.rho"], lr = 10.0}]}}]',
)


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    return train(tiny_recipe(*STAGES), tmp_path_factory.mktemp("bayesian") / "run", data=tiny_data(), progress=False)


def test_the_stage_moves_the_first_layer_alone(staged):
    before, after = (load_file(staged.folder / name / "model.safetensors") for name in ("1-network", "2-posterior"))
    assert set(after) == {*before, "features.0.rho"}
    assert [name for name, value in before.items() if not torch.equal(after[name], value)] == ["features.0.weight"]
    assert after["features.0.rho"].std() > 0  # all were equal


def test_the_data_set_says_how_many_images_there_are(staged):
    recipe = read_recipe(staged.folder / "2-posterior" / "recipe.toml")
    assert recipe.bayesian.images == 70 and recipe.bayesian.layer == "first"
    assert parse_recipe(write_recipe(recipe)) == recipe
    net = load_model(staged.folder).net
    layer = net.get_submodule("features.0")
    assert isinstance(layer, BayesianConv2d) and layer.divergence.images == 70 and not net.training


def test_its_file_is_sampled(staged, tmp_path):
    data = tiny_data()
    path = tmp_path / "net.bw"
    export_model(load_model(staged.folder), path, data.test_images)
    found = load(path, samples=3)
    prediction = found(data.test_images.transpose(0, 3, 1, 2).copy())
    assert prediction.mean.shape == (20, 3) and found.labels == data.label_names
    assert prediction.mutual_information.max() > 0


def test_a_stopped_run_goes_on_to_the_same_weights(staged, tmp_path):
    half = train(tiny_recipe(*STAGES), tmp_path / "run", data=tiny_data(), stop_after=2, progress=False)
    assert not half.finished and half.epochs == 2
    whole = resume_run(tmp_path / "run", data=tiny_data(), progress=False)
    expected, found = load_file(staged.model), load_file(whole.model)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_an_ordinary_network_may_start_from_its_weights(staged, tmp_path):
    recipe = tiny_recipe(f"start={staged.folder}", "epochs=1")
    assert train(recipe, tmp_path / "run", data=tiny_data(), progress=False).finished


def test_a_layer_that_is_not_there_is_named(tmp_path):
    recipe = tiny_recipe('bayesian={layer="conv"}', "epochs=1")
    with pytest.raises(RecipeError, match=r"\[bayesian\] .* has no layer 'conv'"):
        train(recipe, tmp_path / "run", data=tiny_data(), progress=False)
    with pytest.raises(RecipeError, match=r"centre must be one of"):
        tiny_recipe('bayesian={layer="first", centre="mean"}')
