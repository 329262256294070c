import json
from dataclasses import replace

import numpy as np
import pytest

from bitwright.format.posterior import to_text
from bitwright.format.writer import write
from bitwright.uncertainty import assess, detect, load, summarize


@pytest.fixture
def sampled(graph, tmp_path):
    """The packed network with deviations for its first layer."""
    (first,) = (op for op in graph.ops if op.name == "first")
    text = to_text("first", np.full(first.weight.shape, 0.5, np.float32))
    write(replace(graph, meta={**graph.meta, "posterior": text}), tmp_path / "sampled.bw")
    return tmp_path / "sampled.bw"


@pytest.fixture(scope="session")
def colours(tmp_path_factory):
    """Foreign images: larger ones, in colours."""
    path = tmp_path_factory.mktemp("foreign") / "colours.npz"
    images = np.random.default_rng(4).integers(0, 60, (12, 11, 9, 3), dtype=np.uint8)
    np.savez(path, train_images=images, train_labels=np.arange(12), test_images=images, test_labels=np.arange(12))
    return path


def test_the_figures_are_those_of_the_library(bw, sampled, digits, colours):
    done = bw(
        "uncertainty", sampled, f"npz:{digits}", "--ood", f"npz:{colours}", "--samples", 3, "--seed", 5, "--bins", 4,
        "--json", without=["torch", "plotly"],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    with np.load(digits) as data:
        x, labels = data["test_images"][:, None], data["test_labels"]
    logits = load(sampled, samples=3, seed=5).logits(x)
    assert [one["samples"] for one in result["sampled"]] == [1, 2, 3]
    for one in result["sampled"]:
        quality = assess(summarize(logits[: one["samples"]]), labels, bins=4)
        assert {key: one[key] for key in vars(quality)} == pytest.approx(vars(quality))
        assert one["ms_per_image"] > 0
        assert set(one["detection"]["npz"]) == {"confidence", "entropy", "mutual information"}
    alone = result["deterministic"]
    assert set(alone["detection"]["npz"]) == {"confidence", "entropy"} and result["images"] == 30
    assert result["seed"] == 5 and result["report"] is None


def test_tables_and_a_page(bw, sampled, digits, colours, tmp_path):
    pytest.importorskip("plotly")
    page = tmp_path / "page.html"
    foreign = [f"npz:{colours}", f"npz:{digits}"]
    done = bw(
        "uncertainty", sampled, f"npz:{digits}", "--ood", *foreign, "--samples", 2, "--images", 10, "--output", page
    )
    assert done.returncode == 0, done.stderr
    for words in ("10 images", "the network itself", "2 samples", "AUROC", *foreign, f"page: {page}"):
        assert words in done.stdout
    text = page.read_text(encoding="utf-8")
    for words in ("Reliability:", "Risk over coverage", "Cost against samples", "Detection against samples"):
        assert words in text


def test_another_network_may_be_the_baseline(bw, net, sampled, digits):
    done = bw("uncertainty", sampled, f"npz:{digits}", "--against", net, "--samples", 1)
    assert done.returncode == 0, done.stderr
    assert str(net) in done.stdout and "the network itself" not in done.stdout


def test_inspect_names_the_layer(bw, net, sampled):
    assert "Bayesian layer" not in bw("inspect", net).stdout
    (line,) = (line for line in bw("inspect", sampled).stdout.splitlines() if "Bayesian layer" in line)
    assert "first" in line


def test_what_cannot_be_is_one_line(bw, net, sampled, digits, tmp_path, refused):
    refused(bw("uncertainty", net, f"npz:{digits}"), "holds no posterior", "[bayesian]")
    refused(bw("uncertainty", sampled, f"npz:{digits}", "--images", -1), "--images", "-1")
    refused(bw("uncertainty", sampled, f"npz:{digits}", "--samples", 0), "samples", "0")
    refused(bw("uncertainty", sampled, f"npz:{digits}", "--ood", f"npz:{tmp_path}/none.npz"), "none.npz")
    done = bw("uncertainty", sampled, f"npz:{digits}", "--output", tmp_path / "p.html", without=["plotly"])
    refused(done, 'pip install "bitwright[report]"')


def test_detection_of_the_same_images_is_chance(sampled, digits):
    with np.load(digits) as data:
        prediction = load(sampled, samples=4)(data["test_images"][:, None])
    for found in detect(prediction, prediction).values():
        assert found.auroc == pytest.approx(0.5) and found.fpr95 >= 0.95
