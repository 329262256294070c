"""The recipe's table [detection]: scenes, training, transfer, resuming, and the packed file through the commands."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny import tiny_data, tiny_recipe

import bitwright as bw
from bitwright.cli.main import main
from bitwright.data import save_npz
from bitwright.detection import decode_boxes
from bitwright.errors import RecipeError
from bitwright.train import load_model, parse_recipe, predict, train, write_recipe
from bitwright.train.detection import as_scenes, body_weights, make_detector
from bitwright.train.optional_tables import Detection

NETWORK = 'network={name="nas_bnn", arch="8 8 12s2 16s2"}'
SCENES = "detection={size=24, scenes=24, test_scenes=10, objects=[1, 2], scale=[0.75, 1.0], clutter=2, width=8}"
BASE = ("epochs=2", "augmentation={}", 'method={name="react_net"}', NETWORK)


def run(folder, *overrides, **options):
    return train(tiny_recipe(*BASE, *overrides), folder, data=tiny_data(), progress=False, **options)


def test_scenes_of_the_two_splits_share_no_image_and_follow_from_the_tables_seed():
    settings = Detection(24, scenes=5, test_scenes=3, scale=(1, 1))
    made = as_scenes(settings, tiny_data())
    assert made.train_images.shape == (5, 24, 24, 1) and made.test_images.shape == (3, 24, 24, 1)
    assert made.train_labels.shape == (5, 4, 5) and set(np.unique(made.train_labels[..., 4])) <= {-1, 0, 1, 2}
    dark = type(made)(*(np.zeros_like(part) if i == 2 else part for i, part in enumerate(vars(tiny_data()).values())))
    with pytest.raises(RecipeError, match="black images alone"):
        as_scenes(settings, dark)  # the test scenes are made of the test images
    again, other = as_scenes(settings, tiny_data()), as_scenes(Detection(24, 5, 3, scale=(1, 1), seed=1), tiny_data())
    assert np.array_equal(made.train_images, again.train_images)
    assert not np.array_equal(made.train_images, other.train_images)
    assert as_scenes(Detection(), made) is made


def test_a_detector_trains_resumes_packs_and_is_judged_by_precision(tmp_path, capsys):
    done = run(tmp_path / "run", SCENES)
    assert 0 <= done.accuracy <= 1 and done.figure == "mean AP at IoU 0.5" and done.images == 10
    results = json.loads((done.folder / "results.json").read_text())
    assert results["figure"] == done.figure and results["accuracy"] == done.accuracy
    log = (done.folder / "log.txt").read_text()
    assert "val mean AP at IoU 0.5 " in log and "train nan" not in log
    assert run(tmp_path / "halves", SCENES, stop_after=1).epochs == 1
    resumed = bw_resume(tmp_path / "halves")
    one, two = load_file(done.model), load_file(resumed.model)
    assert all(torch.equal(one[name], two[name]) for name in one)

    save_npz(tiny_data(), tmp_path / "bars.npz")
    file, source = tmp_path / "run.bw", f"npz:{tmp_path / 'bars.npz'}"
    call("export", done.folder, "-o", file)
    engine = bw.load(file)
    assert engine.labels == ("left", "middle", "right") and engine.input_shape == (1, 24, 24)
    capsys.readouterr()
    call("eval", file, source, "--run", done.folder, "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["accuracy"] == pytest.approx(done.accuracy) == found["trained"]["accuracy"]
    assert found["figure"] == done.figure and 0 <= found["coco"] <= 1 and found["images"] == 10
    assert 0 <= found["trained"]["largest_difference"] < 1e-4
    model = load_model(done.folder)
    images = as_scenes(model.recipe.detection, tiny_data()).test_images
    maps = engine(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    expected = predict(model.net, images, model.recipe.data)
    gap = max(float(np.abs(maps[name] - expected[name]).max()) for name in maps)
    assert gap == pytest.approx(found["trained"]["largest_difference"])
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    Image.fromarray(images[0, ..., 0]).save(small)
    Image.fromarray(np.pad(images[0, ..., 0], ((0, 0), (6, 6))).repeat(2, 0).repeat(2, 1)).save(large)
    call("detect", file, small, large, "--threshold", 0.0, "--json")
    (one, two) = (result["boxes"] for result in json.loads(capsys.readouterr().out)["results"])
    (expected,) = decode_boxes({name: value[:1] for name, value in maps.items()}, (24, 24), threshold=0)
    assert [found["label"] for found in one] == [engine.labels[c] for c in expected.classes]
    np.testing.assert_allclose([found["box"] for found in one], expected.boxes)
    assert all(12 <= found["box"][0] <= found["box"][2] <= 60 for found in two)  # of 72 pixels, the middle is looked at
    call("run", file, small, status=2)
    assert "bw detect" in capsys.readouterr().err
    call("eval", file, source, status=2)
    assert "say by --run RUN" in capsys.readouterr().err


def bw_resume(folder):
    from bitwright.train import resume_run

    return resume_run(folder, data=tiny_data(), progress=False)


def call(*words, status=0):
    try:
        code = main([str(word) for word in words])
    except SystemExit as leaving:
        code = leaving.code
    assert (code or 0) == status


def test_the_body_goes_on_from_a_classifier_and_the_heads_are_fresh(tmp_path):
    stages = f'stages=[{{name="bars"}}, {{name="scenes", {SCENES}, epochs=1, optimizer={{lr=1e-30}}}}]'
    done = run(tmp_path / "run", stages)
    before, after = (load_file(done.folder / name / "model.safetensors") for name in ("1-bars", "2-scenes"))
    taken = [name for name in before if f"pyramid.net.{name}" in after and not name.startswith("classifier")]
    moving = ("running_mean", "running_var", "num_batches_tracked")
    assert len(taken) > 20
    for name in taken:
        if not name.endswith(moving):
            torch.testing.assert_close(before[name], after[f"pyramid.net.{name}"])
    assert any(name.startswith("heads.0.classes") for name in after)


def test_a_body_without_a_head_gives_all_its_weights():
    body = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.BatchNorm2d(4))
    net = make_detector(Detection(8, levels=1, classes=2), body, 1)
    given = {name: value + 1 for name, value in body.state_dict().items()}
    found = body_weights(net, given)
    assert found.keys() == net.state_dict().keys()
    assert all(torch.equal(found[f"pyramid.net.{name}"], value) for name, value in given.items())


def test_the_network_has_the_maps_the_recipe_names(tmp_path):
    named = SCENES.replace("width=8", 'width=8, maps=["blocks.0"], depth=2')
    net = load_model(run(tmp_path / "run", named, "epochs=1").folder).net
    maps = net(torch.zeros(1, 1, 24, 24))
    assert {name: tuple(value.shape) for name, value in maps.items()} == {
        "classes0": (1, 3, 24, 24), "boxes0": (1, 4, 24, 24)
    }  # fmt: skip


def test_the_loss_falls(tmp_path):
    done = run(tmp_path / "run", SCENES, "epochs=8", "batch=4", "optimizer.lr=0.01", 'method={name="none"}')
    losses = [float(line.split(",")[2]) for line in (done.folder / "metrics.csv").read_text().splitlines()[1:]]
    assert losses[-1] < 0.7 * losses[0]


def test_a_recipe_with_scenes_is_written_and_read():
    recipe = tiny_recipe(*BASE, SCENES)
    assert parse_recipe(write_recipe(recipe)) == recipe and recipe.detection.scale == (0.75, 1.0)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("detection={size=-1}",), r"detection\.size must be 0 or more"),
        (("detection={size=24, objects=[2]}",), r"detection\.objects must be two rising numbers"),
        (("detection={size=24, scale=[1.0, 0.5]}",), r"detection\.scale must be two above 0"),
        ((SCENES, "augmentation={flip=true}"), "augmentation must be empty with detection.size"),
        ((SCENES, 'pretext={name="rotation"}'), "pretext.name must be empty where things are detected"),
        ((SCENES, 'teacher={source="x"}'), "teacher.source must be empty where things are detected"),
        ((SCENES, "machine.compile=true"), "machine.compile must be false where"),
        ((SCENES, "train=head"), "train must be all where things are detected"),
    ],
)
def test_mistakes_are_named(overrides, message):
    with pytest.raises(RecipeError, match=message):
        tiny_recipe("augmentation={}", *overrides)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("detection={size=8}", r"\[detection\] size: images of 8x8"),
        (SCENES.replace("24,", "24, levels=9,", 1), "levels: NasBnn"),
    ],
)
def test_what_does_not_fit_is_named(settings, message, tmp_path):
    with pytest.raises(RecipeError, match=message):
        run(tmp_path / "run", settings)
