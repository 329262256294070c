"""Masks from another run, and rounds of pruning with rewinding, from labels and from a pretext."""

import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_data, tiny_recipe

from bitwright.errors import RecipeError, RunError
from bitwright.pretext.heads import in_head
from bitwright.sparse import density_of, masks_of, pruned_layers
from bitwright.train import load_model, parse_recipe, resume_run, train, write_recipe

ROUNDS = (
    'stages=[{name="early", epochs=1}, '
    '{name="round", rounds=2, pruning={name="magnitude", density=0.25, fill="zero"}}, '
    '{name="labels", start="stage:early", pretext={name=""}, '
    'pruning={name="magnitude", by="stage:round1", fill="zero"}}]'
)
BASE = ("epochs=1", "augmentation={}", 'pretext={name="rotation"}', "batch=35")
FLOAT, BINARY = 'method={name="none"}', 'method={name="bi_real_net"}'


@pytest.fixture(scope="module", params=[FLOAT, BINARY], ids=["float", "binary"])
def rounds(request, tmp_path_factory):
    recipe = tiny_recipe(*BASE, request.param, ROUNDS)
    folder = tmp_path_factory.mktemp("rounds") / "run"
    return recipe, train(recipe, folder, data=tiny_data(), progress=False)


def folders(done):
    return {path.name.partition("-")[2]: path for path in done.folder.glob("*-*")}


def test_rounds_are_written_out():
    recipe = tiny_recipe(*BASE, ROUNDS)
    assert [stage["name"] for stage in recipe.stages] == ["early", "round0", "round1", "round2", "labels"]
    assert [recipe.stage(i).pruning.density for i in (1, 2, 3)] == [1.0, 0.5, 0.25]
    assert [recipe.stage(i).pruning.by for i in (1, 2, 3)] == ["", "stage:round0", "stage:round1"]
    assert all(recipe.stage(i).start == "stage:early" for i in (1, 2, 3, 4))
    assert parse_recipe(write_recipe(recipe)) == recipe


def test_rounds_keep_their_share_and_are_nested(rounds):
    _, done = rounds
    nets = [load_model(folders(done)[f"round{i}"]).net for i in range(3)]
    assert [density_of(net) for net in nets] == pytest.approx([1.0, 0.5, 0.25], abs=1e-3)
    dense, half, quarter = map(masks_of, nets)
    assert all((quarter[name] <= half[name]).all() and dense[name].all() for name in dense)
    assert not any(in_head(nets[0], name) for name in dense)


def test_a_mask_is_that_of_the_largest_weights_of_the_round_before(rounds):
    _, done = rounds
    before, after = (load_model(folders(done)[name]).net for name in ("round0", "round1"))
    masks = masks_of(after)
    kept = torch.cat([w[masks[name]].abs() for name, (_, w) in pruned_layers(before).items()])
    gone = torch.cat([w[~masks[name]].abs() for name, (_, w) in pruned_layers(before).items()])
    assert kept.min() >= gone.max()


def test_the_labels_take_masks_and_early_weights_but_not_the_head(rounds):
    _, done = rounds
    labels, ticket = (load_model(folders(done)[name]).net for name in ("labels", "round1"))
    masks, expected = masks_of(labels), masks_of(ticket)
    assert masks.keys() == expected.keys() and all(torch.equal(masks[name], expected[name]) for name in masks)
    assert labels.classifier.out_features == 3 and ticket.classifier.out_features == 4
    assert all(not weight[~masked.mask].any() for masked, weight in pruned_layers(labels).values())


@pytest.mark.parametrize("method", [FLOAT, BINARY])
def test_surviving_weights_go_back_and_stay_where_nothing_moves_them(method, tmp_path):
    still = 'optimizer={lr=1e-30, name="sgd"}'
    stages = ROUNDS.replace("rounds=2", f"rounds=2, {still}").replace(
        'pretext={name=""}', f'pretext={{name=""}}, {still}'
    )
    done = train(tiny_recipe(*BASE, method, stages), tmp_path / "run", data=tiny_data(), progress=False)
    early = load_file(folders(done)["early"] / "model.safetensors")
    for name in ("round1", "round2", "labels"):
        for layer, (masked, weight) in pruned_layers(load_model(folders(done)[name]).net).items():
            assert torch.equal(weight, torch.where(masked.mask, early[f"{layer}.weight"], 0.0))


def test_a_stopped_run_goes_on_to_the_same_masks(rounds, tmp_path):
    recipe, whole = rounds
    train(recipe, tmp_path / "run", data=tiny_data(), progress=False, stop_after=3)
    done = resume_run(tmp_path / "run", data=tiny_data(), progress=False)
    one, two = load_file(whole.model), load_file(done.model)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_masks_come_from_dense_networks_too_and_random_ones_need_none(tmp_path):
    dense = train(tiny_recipe("epochs=1", BINARY), tmp_path / "dense", data=tiny_data(), progress=False)
    by = f'pruning={{name="random", density=0.3, by="{dense.folder}", fill="low"}}'
    done = train(tiny_recipe("epochs=1", BINARY, by), tmp_path / "run", data=tiny_data(), progress=False)
    assert density_of(load_model(done.folder).net) == pytest.approx(0.3, abs=0.05)


def test_shuffled_masks_keep_as_many_weights_of_each_layer_but_others(rounds, tmp_path):
    recipe, done = rounds
    ticket = folders(done)["round1"]
    by = f'pruning={{name="magnitude", by="{ticket}", shuffle=true}}'
    plain = f'method={{name="{recipe.method.name}"}}'
    shuffled = train(tiny_recipe(*BASE[:2], plain, by), tmp_path / "run", data=tiny_data(), progress=False)
    masks, expected = (masks_of(load_model(folder).net) for folder in (shuffled.folder, ticket))
    assert {name: int(mask.sum()) for name, mask in expected.items()} == {
        name: int(masks[name].sum()) for name in expected
    }
    assert not all(torch.equal(masks[name], expected[name]) for name in expected)


def test_a_pruned_network_is_not_taken_for_a_dense_one(rounds, tmp_path):
    recipe, done = rounds
    plain = tiny_recipe(*BASE[:2], f'method={{name="{recipe.method.name}"}}', f"start={folders(done)['round2']}")
    with pytest.raises(RunError, match="its layers are pruned"):
        train(plain, tmp_path / "run", data=tiny_data(), progress=False)


def test_masks_of_other_layers_are_refused(rounds, tmp_path):
    _, done = rounds
    by = f'pruning={{name="magnitude", by="{folders(done)["round1"]}"}}'
    with pytest.raises(RecipeError, match=r"pruning\.by: .*expected a mask of shape"):
        train(
            tiny_recipe("epochs=1", BINARY, "network.width=6", by), tmp_path / "run", data=tiny_data(), progress=False
        )


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (
            '[{name="a"}, {name="b", rounds=0, pruning={name="magnitude", density=0.5}}]',
            "stages.b: rounds must be a whole",
        ),
        ('[{name="a"}, {name="b", rounds=2}]', "rounds must have a table pruning"),
        ('[{name="b", rounds=2, pruning={name="magnitude", density=0.5}}]', "must have weights to go back to"),
        ('[{name="a"}, {name="b", pruning={by="stage:a", name=""}}]', "a criterion where pruning.by names a network"),
        ('[{name="a"}, {name="b", pruning={name="magnitude", shuffle=true}}]', "shuffle must be false without"),
        (
            '[{name="a"}, {name="b", pruning={name="magnitude", by="stage:c"}}]',
            "pruning.by must be a stage before this",
        ),
    ],
)
def test_wrong_rounds_are_named(stages, message):
    with pytest.raises(RecipeError, match=message):
        tiny_recipe(f"stages={stages}")
