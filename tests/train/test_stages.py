import json

import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_data, tiny_recipe

from bitwright.errors import RecipeError, RunError
from bitwright.nn.gated import GatedConv2d, average_bits, counting_gates
from bitwright.nn.layers import BinaryConv2d
from bitwright.train import load_model, parse_recipe, read_recipe, resume_run, train, write_recipe

TWO = ('stages=[{name = "activations", binary = "activations", epochs = 2}, {name = "both", optimizer = {lr = 1e-4}}]',)


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    return train(tiny_recipe(*TWO), tmp_path_factory.mktemp("staged") / "run", data=tiny_data(), progress=False)


def test_stages_lay_their_keys_over_the_recipe():
    recipe = tiny_recipe(*TWO)
    first, second = recipe.stage(0), recipe.stage(1)
    assert (first.binary, first.epochs, first.optimizer.lr) == ("activations", 2, 1e-3)
    assert (second.binary, second.epochs, second.optimizer.lr) == ("both", 4, 1e-4)
    assert second.method == recipe.method and second.title == "tiny: both"
    assert parse_recipe(write_recipe(recipe)) == recipe


def test_a_table_with_a_name_replaces_the_whole_table():
    recipe = tiny_recipe(
        'stages=[{name = "one", method = {name = "bi_real_net"}}, {name = "two", method = {gamma = 0.1}}]'
    )
    assert recipe.stage(0).method.name == "bi_real_net" and recipe.stage(0).method.options == {}
    assert recipe.stage(1).method.options == {"sparsity": 0.75, "gamma": 0.1}


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ("[{epochs = 2}]", "stages must be tables, each with a name"),
        ('[{name = "a"}, {name = "a"}]', "a name of its own"),
        ('[{name = "a", epoch = 2}]', "stages.a: unknown key epoch; did you mean epochs"),
        ('[{name = "a", binary = "none"}]', "stages.a: binary must be one of"),
        ('[{name = "a", stages = []}]', "a stage cannot have the key stages"),
        (
            '[{name = "a"}, {name = "b", start = "stage:b"}]',
            "stages.b: start must be a stage before this one, of a, found",
        ),
        (
            '[{name = "a", teacher = {source = "stage:b"}}, {name = "b"}]',
            "teacher.source must be a stage before this one",
        ),
    ],
)
def test_a_wrong_stage_is_named_before_anything_runs(stages, message):
    with pytest.raises(RecipeError, match=message):
        tiny_recipe(f"stages={stages}")


def test_each_stage_has_a_folder_and_the_last_one_gives_the_model(staged):
    names = {path.name for path in staged.folder.iterdir()}
    assert names == {"1-activations", "2-both", "recipe.toml", "results.json", "model.safetensors"}
    assert staged.finished and staged.epochs == 6
    results = json.loads((staged.folder / "results.json").read_text())
    assert [stage["name"] for stage in results["stages"]] == ["1-activations", "2-both"]
    assert results["accuracy"] == staged.accuracy
    model = load_model(staged.folder)
    assert model.recipe.binary == "both" and model.recipe.start.endswith("1-activations/model.safetensors")
    layers = [m for m in load_model(staged.folder / "1-activations").net.modules() if isinstance(m, BinaryConv2d)]
    assert layers and all(isinstance(layer.weight_binarizer, torch.nn.Identity) for layer in layers)


def test_a_stage_starts_from_the_weights_the_one_before_kept(staged, tmp_path):
    frozen = tiny_recipe(
        'stages=[{name = "a", epochs = 1}, {name = "b", epochs = 1, optimizer = {lr = 1e-30}, method = {gamma = 0.0}}]'
    )
    run = train(frozen, tmp_path / "run", data=tiny_data(), progress=False)
    before, after = (load_file(run.folder / name / "model.safetensors") for name in ("1-a", "2-b"))
    for name, value in before.items():
        if name.endswith("weight"):
            torch.testing.assert_close(after[name], value)


def test_a_stage_may_start_anew_or_from_an_earlier_one_and_learn_from_it(tmp_path):
    recipe = tiny_recipe(
        "optimizer.lr=1e-30",
        'stages=[{name = "real", method = {name = "none"}, network = {name = "vgg_small", width = 6}, epochs = 1}, '
        '{name = "new", start = "", epochs = 1, teacher = {source = "stage:real", features = ["features.1"]}}, '
        '{name = "again", start = "stage:real", network = {width = 6}, epochs = 1}]',
    )
    run = train(recipe, tmp_path / "run", data=tiny_data(), progress=False)
    assert run.finished and [stage.name for stage in sorted(run.folder.glob("?-*"))] == ["1-real", "2-new", "3-again"]
    settings = [read_recipe(run.folder / name / "recipe.toml") for name in ("2-new", "3-again")]
    real = str(run.folder / "1-real" / "model.safetensors")
    assert [(s.start, s.teacher.source) for s in settings] == [("", real), (real, "")]
    before, after = (load_file(run.folder / name / "model.safetensors") for name in ("1-real", "3-again"))
    torch.testing.assert_close(after["features.3.weight"], before["features.3.weight"])


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_a_stopped_run_goes_on_to_the_same_weights(staged, tmp_path, epochs):
    half = train(tiny_recipe(*TWO), tmp_path / "run", data=tiny_data(), stop_after=epochs, progress=False)
    assert not half.finished and half.epochs == epochs
    whole = resume_run(tmp_path / "run", data=tiny_data(), progress=False)
    expected, found = load_file(staged.model), load_file(whole.model)
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert read_recipe(tmp_path / "run" / "recipe.toml").stages == tiny_recipe(*TWO).stages


def test_starting_weights_may_come_from_a_float_network(tmp_path):
    plain = train(
        tiny_recipe('method={name = "none"}', "epochs=1"), tmp_path / "float", data=tiny_data(), progress=False
    )
    run = train(tiny_recipe(f"start={plain.folder}", "epochs=1"), tmp_path / "binary", data=tiny_data(), progress=False)
    assert run.finished


def test_starting_weights_of_another_network_are_refused(staged, tmp_path):
    recipe = tiny_recipe(f"start={staged.folder}", "network.width=6")
    with pytest.raises(RunError, match="do not fit the recipe's network"):
        train(recipe, tmp_path / "run", data=tiny_data(), progress=False)


def test_gates_learn_with_real_weights_and_go_on_from_there(tmp_path):
    recipe = tiny_recipe(
        'network={name="frac_bnn_resnet20", width=4}',
        'method={name="frac_bnn"}',
        "data.mean=[0.0]",
        "data.std=[1.0]",
        "optimizer.name=adam",
        'stages=[{name="activations", binary="activations", epochs=2}, '
        '{name="both", epochs=1, optimizer={lr=1e-30, weight_decay=0.0}}]',
    )
    run = train(recipe, tmp_path / "run", data=tiny_data(), progress=False)
    first, second = (load_file(run.folder / name / "model.safetensors") for name in ("1-activations", "2-both"))
    gates = [name for name in first if name.endswith("gate.threshold")]
    assert len(gates) == 18 and sum(bool((first[name] != -1).any()) for name in gates) > 9
    for name in gates:
        torch.testing.assert_close(second[name], first[name], rtol=0, atol=0)
    halfway, net = (load_model(run.folder / name).net for name in ("1-activations", "2-both"))
    for layer in halfway.modules():
        if isinstance(layer, GatedConv2d):
            assert isinstance(layer.weight_binarizer, torch.nn.Identity)
    assert set(net.blocks[0].conv.binarized_weight().unique().tolist()) == {-1.0, 1.0}
    with counting_gates(net), torch.no_grad():
        net.eval()(torch.rand(2, 1, 8, 8))
    assert 1 < average_bits(net) < 2
