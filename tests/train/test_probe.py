"""`bw probe` and the function behind it, and the columns of `bw report`."""

import contextlib
import io
import json

import pytest
import torch
from tiny import tiny_data, tiny_recipe

from bitwright.cli.main import main
from bitwright.data import save_npz
from bitwright.errors import RunError
from bitwright.pretext import body_features
from bitwright.report.comparison import compare
from bitwright.report.runs import group_runs, read_run
from bitwright.train import load_model, train
from bitwright.train.batches import EvaluationBatches
from bitwright.train.probe import probe

ROTATION = ('method={name="none"}', 'pretext={name="rotation"}', "augmentation={}", "epochs=1", "batch=35")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return train(tiny_recipe(*ROTATION), tmp_path_factory.mktemp("probe") / "run", data=tiny_data(), progress=False)


def test_frozen_features_tell_bars_apart_and_the_network_stays(done):
    before = load_model(done.folder).net.state_dict()
    found = probe(done.folder, data=tiny_data(120, 60), neighbours=5)
    after = load_model(done.folder).net.state_dict()
    assert found.linear > 0.8 and found.neighbours > 0.8  # a third by chance
    assert (found.features, found.images, found.test_images) == (16, 120, 60)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert probe(done.folder, data=tiny_data(), samples=10).images == 10


def test_the_neighbours_are_those_of_the_training_images(done):
    model, data = load_model(done.folder), tiny_data()

    def features(images, labels):
        batches = EvaluationBatches(images, labels, model.recipe.data, device=torch.device("cpu"))
        with torch.no_grad():
            found = torch.cat([body_features(model.net, x) for x, _ in batches])
        return found / found.norm(dim=1, keepdim=True)

    similar = features(data.test_images, data.test_labels) @ features(data.train_images, data.train_labels).T
    right = torch.from_numpy(data.train_labels)[similar.argmax(1)] == torch.from_numpy(data.test_labels)
    assert probe(done.folder, data=data, neighbours=1).neighbours == pytest.approx(right.float().mean().item())


def test_images_of_another_form_are_refused(done):
    with pytest.raises(RunError, match="reads images of"):
        probe(done.folder, data=tiny_data(channels=3))


def test_the_command_writes_what_the_report_shows(done, tmp_path):
    save_npz(tiny_data(), tmp_path / "bars.npz")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        source = f"npz:{tmp_path / 'bars.npz'}"
        assert main(["probe", str(done.folder), "--data", source, "--neighbours", "5", "--json"]) == 0
    found = json.loads(out.getvalue())["runs"][str(done.folder)]
    run = read_run(done.folder)
    assert (run.task, run.linear, run.neighbours) == ("rotation", found["linear"], found["neighbours"])
    table = compare(group_runs([run]))
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["data"].endswith(", rotation")
    assert row["linear classifier of the features"] == f"{100 * found['linear']:.2f} %"
    assert main(["probe"]) == 2
