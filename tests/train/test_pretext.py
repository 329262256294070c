"""The recipe's table [pretext]: batches, heads, stages that take the body on, and frozen bodies."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_data, tiny_recipe

from bitwright.errors import RecipeError, RunError
from bitwright.pretext.heads import in_head
from bitwright.train import load_model, train
from bitwright.train.batches import EvaluationBatches, TrainingBatches
from bitwright.train.config import Augmentation, Data
from bitwright.train.optional_tables import Pretext

CPU = torch.device("cpu")
BASE = ("epochs=1", "augmentation={flip=true}")
SIMCLR = 'pretext={name="simclr", outputs=6, area=0.5, temperature=0.2}'


def run(folder, *overrides, **options):
    return train(tiny_recipe(*BASE, *overrides), folder, data=tiny_data(), progress=False, **options)


def batches(pretext, epoch=0):
    images = np.random.default_rng(0).integers(0, 256, (20, 6, 6, 3), dtype=np.uint8)
    data = Data("x", mean=(0.5,) * 3, std=(0.5,) * 3)
    made = TrainingBatches(
        images, np.zeros(20, np.int64), data, Augmentation(flip=True), batch=8, seed=3, device=CPU, pretext=pretext
    )
    made.epoch = epoch
    return list(made), EvaluationBatches(images, np.zeros(20, np.int64), data, batch=8, device=CPU, pretext=pretext)


def test_a_batch_holds_four_copies_or_two_views():
    (x, targets), _ = batches(Pretext("rotation"))[0]
    assert len(x) == 32 and targets.labels.bincount().tolist() == [8] * 4
    assert torch.equal(torch.rot90(x[:8], 1, (2, 3)), x[8:16])
    (x, targets), _ = batches(Pretext("simclr"))[0]
    assert len(x) == 16 and not torch.equal(x[:8], x[8:]) and len(targets.labels) == 16


@pytest.mark.parametrize("name", ["rotation", "simclr", "moco"])
def test_views_follow_from_the_moment_alone(name):
    (one, held), (again, _), (later, _) = (batches(Pretext(name), epoch) for epoch in (2, 2, 3))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[0][0], later[0][0])
    assert all(torch.equal(a[0], b[0]) for a, b in zip(held, held, strict=True))


@pytest.mark.parametrize("method", ['{name="none"}', '{name="bi_real_net"}'])
@pytest.mark.parametrize(("pretext", "outputs"), [('pretext={name="rotation"}', 4), (SIMCLR, 6)])
def test_a_body_goes_on_from_its_pretext_to_a_linear_classifier(method, pretext, outputs, tmp_path):
    stages = 'stages=[{name="look"}, {name="linear", pretext={name=""}, train="head", epochs=2}]'
    done = run(tmp_path / "run", f"method={method}", pretext, stages)
    before, after = (load_file(done.folder / name / "model.safetensors") for name in ("1-look", "2-linear"))
    net = load_model(done.folder / "2-linear").net
    body = [name for name in before if not in_head(net, name)]
    assert body and all(torch.equal(before[name], after[name]) for name in body)
    assert {name for name in after if in_head(net, name)} == {"classifier.weight", "classifier.bias"}
    assert load_model(done.folder / "1-look").net(torch.zeros(1, 1, 8, 8)).shape == (1, outputs)
    assert net(torch.zeros(1, 1, 8, 8)).shape == (1, 3)
    stages = json.loads((done.folder / "results.json").read_text())["stages"]
    assert all(0 <= stage["accuracy"] <= 1 for stage in stages)


def test_the_head_learns_and_frozen_parameters_are_out_of_the_optimizers_sight(tmp_path):
    fresh = run(tmp_path / "a", "train=head", "optimizer.lr=1e-30")
    moved = run(tmp_path / "b", "train=head", "optimizer={name='adamw', lr=0.1, weight_decay=0.1, decay_on='all'}")
    one, two = load_file(fresh.model), load_file(moved.model)
    changed = {name for name in one if not torch.equal(one[name], two[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_a_pretext_needs_no_labels(tmp_path):
    data = tiny_data()
    silent = type(data)(
        data.train_images, np.zeros_like(data.train_labels), data.test_images, np.zeros_like(data.test_labels),
        data.label_names, data.source,
    )  # fmt: skip
    recipe = tiny_recipe(*BASE, 'pretext={name="rotation"}')
    one, two = (
        train(recipe, tmp_path / name, data=d, progress=False) for name, d in [("with", data), ("without", silent)]
    )
    first, second = load_file(one.model), load_file(two.model)
    assert all(torch.equal(first[name], second[name]) for name in first) and one.accuracy == two.accuracy


def test_bars_that_lie_are_told_from_bars_that_stand(tmp_path):
    done = run(tmp_path / "run", 'pretext={name="rotation"}', "epochs=10", "augmentation={}", "optimizer.lr=0.02",
               'method={name="none"}', "batch=35", "keep=last")  # fmt: skip
    assert done.accuracy > 0.4  # 0.25 by chance; of bars in the middle, up and down are alike


def test_samples_are_a_nested_choice(tmp_path, monkeypatch):
    import bitwright.train.run as run_module

    seen = []
    real = run_module.TrainingBatches
    monkeypatch.setattr(
        run_module, "TrainingBatches", lambda images, *a, **k: seen.append(images) or real(images, *a, **k)
    )
    for index, samples in enumerate((20, 40)):
        run(tmp_path / str(index), f"data.samples={samples}", "data.held_out=10")
    few, many = ({image.tobytes() for image in images} for images in seen)
    assert (len(few), len(many)) == (20, 40) and few < many
    with pytest.raises(RecipeError, match=r"data\.samples is 61 of 60 training images"):
        run(tmp_path / "more", "data.samples=61", "data.held_out=10")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (['pretext={name="rotate"}'], "did you mean 'rotation'"),
        (['pretext={name="simclr", temperature=0}'], r"pretext\.temperature must be positive"),
        (['pretext={name="simclr"}', "augmentation={mixup=0.2}"], "0 with a pretext"),
        (['pretext={name="simclr"}', "loss.name=squared_hinge"], "cross_entropy with a pretext"),
    ],
)
def test_mistakes_are_named(overrides, message):
    with pytest.raises(RecipeError, match=message):
        tiny_recipe("augmentation={}", *overrides)


def test_oblong_images_cannot_be_turned(tmp_path):
    data = tiny_data()
    flat = type(data)(data.train_images[:, :4], data.train_labels, data.test_images[:, :4], data.test_labels,
                      data.label_names, data.source)  # fmt: skip
    with pytest.raises(RecipeError, match="rotation needs square images, found 4x8"):
        train(tiny_recipe(*BASE, 'pretext={name="rotation"}'), tmp_path / "run", data=flat, progress=False)


def test_a_body_of_other_shape_is_still_refused(tmp_path):
    first = run(tmp_path / "a", 'pretext={name="rotation"}')
    with pytest.raises(RunError, match="do not fit the recipe's network"):
        run(tmp_path / "b", f"start={first.folder}", "network.width=6")
