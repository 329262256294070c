"""Weights that others published, in our networks: the same logits, one clear error for any other file."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from published import adabin_logits, adabin_weights, float_logits, float_weights

import bitwright as bw
from bitwright.core.binarizers import LevelPair
from bitwright.data import DataSet
from bitwright.errors import RunError
from bitwright.nn.layers import BinaryConv2d
from bitwright.train import load_model, read_recipe, train
from bitwright.train.checkpoints import PUBLISHED, import_checkpoint
from bitwright.train.config import write_recipe
from bitwright.train.model_file import save_model

WEIGHTS = {"adabin-resnet20": adabin_weights, "resnet20": float_weights}
LOGITS = {"adabin-resnet20": adabin_logits, "resnet20": float_logits}
FINE_TUNING = Path(__file__).parents[2] / "recipes" / "bi_real_net" / "cifar10-resnet20-from-float.toml"


def save(path, weights, **beside):
    """The file as the authors' training scripts write it: from several devices, with figures beside the weights."""
    torch.save({"state_dict": {f"module.{key}": value for key, value in weights.items()}, **beside}, path)
    return path


@pytest.fixture
def images():
    """Noise of four different strengths."""
    noise = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return noise * torch.tensor([0.25, 1.0, 4.0, 16.0]).view(-1, 1, 1, 1)


@pytest.mark.parametrize("name", PUBLISHED)
def test_logits_are_those_of_the_original(name, images, tmp_path):
    weights = WEIGHTS[name]()
    model = import_checkpoint(name, save(tmp_path / "file.th", weights, best_prec1=88.1))
    with torch.no_grad():
        found, expected = model.net(images), LOGITS[name](weights, images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert expected.std(0).min() > 0.1  # images tell the logits apart
    assert model.recipe.data.std == (0.229, 0.224, 0.225) and len(model.label_names) == 10


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_tensor_arrives(name, tmp_path):
    weights = WEIGHTS[name]()
    state = import_checkpoint(name, save(tmp_path / "file.th", weights)).net.state_dict()
    arrived = {PUBLISHED[name].their_name(key): value for key, value in state.items()}
    assert set(weights) <= set(arrived) and all(torch.equal(arrived[key], value) for key, value in weights.items())
    assert all(key.endswith("num_batches_tracked") for key in arrived.keys() - weights.keys())


def test_a_plain_dict_and_old_and_half_precise_files_are_read(images, tmp_path):
    weights = float_weights()
    expected = import_checkpoint("resnet20", save(tmp_path / "file.th", weights)).net(images)
    torch.save(weights, tmp_path / "plain.th", _use_new_zipfile_serialization=False)
    assert torch.equal(import_checkpoint("resnet20", tmp_path / "plain.th").net(images), expected)
    halves = save(tmp_path / "half.th", {key: value.half() for key, value in weights.items()})
    torch.testing.assert_close(import_checkpoint("resnet20", halves).net(images), expected, rtol=0.1, atol=0.1)


def test_the_packed_network_computes_the_same_with_two_levels_on_both_sides(tmp_path):
    model = import_checkpoint("adabin-resnet20", save(tmp_path / "file.th", adabin_weights()))
    layers = [module for module in model.net.modules() if isinstance(module, BinaryConv2d)]
    assert len(layers) == 18 and all(isinstance(layer.input_binarizer, LevelPair) for layer in layers)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
    data = model.recipe.data
    report = bw.export(model.net, tmp_path / "net.bw", torch.from_numpy(pixels), pixels=(data.mean, data.std))
    assert report.comparison.labels_differing == 0 and report.bytes < 125_000
    x = (torch.from_numpy(pixels) / 255 - torch.tensor(data.mean).view(-1, 1, 1)) / torch.tensor(data.std).view(
        -1, 1, 1
    )
    with torch.no_grad():
        expected = adabin_logits(adabin_weights(), x).numpy()
    np.testing.assert_array_equal(bw.load(tmp_path / "net.bw")(pixels).argmax(1), expected.argmax(1))


def test_a_binary_network_is_fine_tuned_from_the_float_one(tmp_path):
    weights = float_weights()
    start = tmp_path / "model.safetensors"
    save_model(import_checkpoint("resnet20", save(tmp_path / "file.th", weights)), start)
    labels = np.arange(16) % 10
    pixels = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    data = DataSet(pixels, labels, pixels, labels, tuple("abcdefghij"), "noise")
    changes = (f"start={start}", "epochs=1", "batch=16", "stages=[]", "optimizer.lr=1e-30", "data.held_out=0")
    run = train(read_recipe(FINE_TUNING, overrides=changes), tmp_path / "run", data=data, progress=False)
    model = load_model(run.folder)
    layers = [name for name, module in model.net.named_modules() if isinstance(module, BinaryConv2d)]
    assert len(layers) == 18
    for name in layers:  # such a step is too small to move a weight
        theirs = weights[PUBLISHED["resnet20"].their_name(f"{name}.weight")]
        torch.testing.assert_close(model.net.state_dict()[f"{name}.weight"], theirs)
    stages = read_recipe(FINE_TUNING, overrides=(f"start={start}",)).stages
    assert [stage["name"] for stage in stages] == ["activations", "both"]


def without(weights, *keys):
    return {key: value for key, value in weights.items() if key not in keys}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: without(w, "linear.bias"), "it lacks linear.bias."),
        (lambda w: {**w, "linear.scale": torch.ones(1)}, "it has linear.scale besides."),
        (lambda w: {**w, "bn1.bias": torch.ones(8)}, "it has bn1.bias of shape (8,), expected (16,)."),
        (lambda w: {**w, "layer2.0.conv1.weight": torch.ones(32, 9, 16)}, "of shape (32, 9, 16), expected (32, 16, 3"),
        (lambda w: adabin_weights(), " more like these."),
        (lambda w: {}, "lacks conv1.weight, lacks bn1.weight"),
        (lambda w: {**w, "linear.bias": [0.0] * 10}, "expected tensors by their names"),
    ],
)
def test_tensors_that_do_not_fit_are_named(change, words, tmp_path):
    path = save(tmp_path / "file.th", change(float_weights()))
    with pytest.raises(RunError) as caught:
        import_checkpoint("resnet20", path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and words in message and "\n" not in message and len(message) < 400


def test_weights_of_another_published_network_are_refused(tmp_path):
    path = save(tmp_path / "file.th", float_weights())
    with pytest.raises(RunError, match=r"not the weights of adabin-resnet20: it lacks nonlinear1"):
        import_checkpoint("adabin-resnet20", path)


@pytest.mark.parametrize("content", [[torch.ones(2)], {"state_dict": 3}, {1: torch.ones(2)}, torch.ones(2)])
def test_another_content_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "file.th")
    with pytest.raises(RunError, match="expected tensors by their names"):
        import_checkpoint("resnet20", tmp_path / "file.th")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_or_damaged_file_is_one_error(zipped, tmp_path):
    torch.save(float_weights(), tmp_path / "whole.th", _use_new_zipfile_serialization=zipped)
    whole = (tmp_path / "whole.th").read_bytes()
    random = np.random.default_rng(0)
    path = tmp_path / "file.th"
    for length in [0, 1, 2, 100, *random.integers(3, len(whole) - 1, 12)]:
        path.write_bytes(whole[:length])
        with pytest.raises(RunError, match="not a whole file of weights"):
            import_checkpoint("resnet20", path)
    for noise in (b"title = 'a recipe'\n", b"\x80\x02", random.bytes(4096), b"\x89PNG\r\n\x1a\n"):
        path.write_bytes(noise)
        with pytest.raises(RunError, match="not a whole file of weights"):
            import_checkpoint("resnet20", path)


class Touch:
    """What a hostile file holds: unpickling it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_cannot_run_code(zipped, tmp_path):
    target = tmp_path / "touched"
    torch.save({"state_dict": Touch(target)}, tmp_path / "file.th", _use_new_zipfile_serialization=zipped)
    with pytest.raises(RunError, match="not a whole file of weights"):
        import_checkpoint("resnet20", tmp_path / "file.th")
    (tmp_path / "bare.th").write_bytes(pickle.dumps(Touch(target)))
    with pytest.raises(RunError, match="not a whole file of weights"):
        import_checkpoint("resnet20", tmp_path / "bare.th")
    assert not target.exists()
    pickle.loads((tmp_path / "bare.th").read_bytes())
    assert target.exists()  # so the file was a hostile one


def test_names_and_paths_that_do_not_exist(tmp_path):
    with pytest.raises(RunError, match="there are adabin-resnet20, resnet20"):
        import_checkpoint("resnet21", tmp_path / "file.th")
    with pytest.raises(RunError, match=r"nothing\.th not found"):
        import_checkpoint("resnet20", tmp_path / "nothing.th")


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_model_file_reads_back(name, images, tmp_path):
    model = import_checkpoint(name, save(tmp_path / "file.th", WEIGHTS[name]()))
    save_model(model, tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors")
    assert (
        write_recipe(again.recipe) == write_recipe(model.recipe) and again.recipe.network.options["num_classes"] == 10
    )
    assert torch.equal(again.net(images), model.net(images))
