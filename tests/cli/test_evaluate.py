import json

import numpy as np
import pytest

from bitwright.cli.evaluate import compare
from bitwright.ir.interpret import interpret


def expected_accuracy(graph, digits):
    with np.load(digits) as data:
        logits = interpret(graph, data["test_images"][:, None])
        return float((logits.argmax(1) == data["test_labels"]).mean())


@pytest.mark.parametrize("engine", ["native", "numpy"])
def test_eval_counts_right_answers(bw, graph, net, digits, engine):
    done = bw("eval", net, f"npz:{digits}", "--engine", engine, "--batch", 7, "--json", without=["torch"])
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["accuracy"] == expected_accuracy(graph, digits)
    assert result["images"] == 30
    assert result["images_per_s"] > 0
    assert result["counted"]["bops"]["dense"] == 64 * 288 + 3 * 512
    assert result["counted"]["bops"]["fine_grained"] < 64 * 288 + 3 * 512
    assert 0 < result["bits_per_weight"] <= 1


def test_eval_prints_a_table(bw, graph, net, digits):
    done = bw("eval", net, f"npz:{digits}", "--threads", 2)
    assert done.returncode == 0, done.stderr
    assert f"{100 * expected_accuracy(graph, digits):.2f} %" in done.stdout


def test_eval_on_the_training_images(bw, net, digits):
    done = bw("eval", net, f"npz:{digits}", "--split", "train", "--json")
    assert json.loads(done.stdout)["images"] == 48


def test_a_missing_data_set_is_one_line(bw, net, tmp_path, refused):
    refused(bw("eval", net, f"npz:{tmp_path}/none.npz"), "none.npz")
    refused(bw("eval", net, f"cifar10:{tmp_path}"), "cifar-10-batches-py")
    refused(bw("eval", net, "digits"), "digits")


def test_images_of_another_shape_are_refused(bw, net, tmp_path, refused):
    path = tmp_path / "large.npz"
    images, labels = np.zeros((4, 9, 8), np.uint8), np.zeros(4, np.int64)
    np.savez(path, train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    refused(bw("eval", net, f"npz:{path}"), "8x8x1", "9x8x1")


def test_settings_out_of_range_are_refused(bw, net, digits, refused):
    refused(bw("eval", net, f"npz:{digits}", "--threads", 0), "--threads", "0")
    refused(bw("eval", net, f"npz:{digits}", "--batch", 0), "--batch", "0")


def test_comparing_with_a_run_needs_torch(bw, net, digits, tmp_path, refused):
    done = bw("eval", net, f"npz:{digits}", "--run", tmp_path, without=["torch"])
    refused(done, 'pip install "bitwright[train]"')


def test_differing_predictions_come_with_their_margins():
    trained = np.array([[1.0, 2.0, 0.0], [3.0, 2.5, 0.0], [0.0, 0.0, 1.0]], np.float32)
    packed = np.array([[1.0, 2.0, 0.0], [2.5, 3.0, 0.0], [0.0, 0.0, 1.0]], np.float32)
    found = compare(trained, packed, np.array([1, 0, 1]))
    assert found["agreeing"] == 2
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["largest_difference"] == 0.5
    assert found["differing"] == [{"index": 1, "label": 0, "trained": 0, "packed": 1, "margin": 0.5}]
