"""Recipes of S2-BNN: MoCo's queue, a student that is guided without labels, its two steps, and its packed body."""

import math

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tiny import tiny_data, tiny_recipe
from torch import nn

import bitwright as bw
from bitwright.distill import guided_loss
from bitwright.errors import RecipeError
from bitwright.lower import export
from bitwright.pretext import MomentumNetwork, queue_logits
from bitwright.runtime.engine import available_isas
from bitwright.runtime.reference import NumpyEngine
from bitwright.train import load_model, resume_run, train
from bitwright.train.augment import Targets
from bitwright.train.catalogue import build_network
from bitwright.train.run import resolve_recipe
from bitwright.train.task import Task

BASE = (
    "epochs=1", "augmentation={flip=true}", 'method={name="react_net"}', "data.held_out=10",
    'pretext={name="moco", outputs=6, hidden=8, area=0.5, temperature=0.2, momentum=0.9, queue=32}',
)  # fmt: skip
TAUGHT = (f"teacher.source={__name__}:given_teacher", 'teacher.divergence="guided"', "teacher.temperature=0.2")
STAGES = """stages=[
    {name="teacher", method={name="none"}},
    {name="activations", start="", binary="activations", teacher={source="stage:teacher"}},
    {name="both", teacher={source="stage:teacher"}},
    {name="linear", pretext={name=""}, train="head"},
]"""


def run(folder, *overrides, **options):
    return train(tiny_recipe(*BASE, *overrides), folder, data=tiny_data(), progress=False, **options)


def given_teacher():
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 6))


def task(*overrides):
    torch.manual_seed(0)
    recipe = resolve_recipe(tiny_recipe(*BASE, *overrides), tiny_data())
    return Task(recipe, build_network(recipe))


def step(made, x):
    return made.training_step((x, Targets(torch.zeros(len(x), dtype=torch.int64))), 0)


def test_the_contrast_is_of_first_views_with_what_the_slow_copy_says_of_second_ones():
    made, x = task(), torch.randn(8, 1, 8, 8)
    same = task()
    slow = MomentumNetwork(same.net, outputs=6, size=32, momentum=0.9, seed=made.recipe.seed)
    queue, keys = slow.queue, slow.answer(same.net, x[4:])
    expected = F.cross_entropy(queue_logits(same.net(x[:4]), keys, queue, 0.2), torch.zeros(4, dtype=torch.int64))
    torch.testing.assert_close(step(made, x), expected)
    step(made, x)
    assert torch.equal(made._training.momentum.queue[-8:-4], keys)


def test_a_guided_student_sees_one_view_and_needs_no_copy():
    made, x = task(*TAUGHT), torch.randn(8, 1, 8, 8)
    same, teacher = task().net, given_teacher().eval()
    before = {name: value.clone() for name, value in made._teacher.net.state_dict().items()}
    loss = step(made, x)
    torch.testing.assert_close(loss, guided_loss(same(x[:4]), teacher(x[:4]), 0.2))
    loss.backward()
    assert (
        made._training.momentum is None and math.isnan(made._training.value) and made._training.mean_loss == loss.item()
    )
    assert all(torch.equal(before[name], value) for name, value in made._teacher.net.state_dict().items())
    assert all(parameter.grad is None for parameter in made._teacher.net.parameters())


def test_both_losses_add_up():
    x = torch.randn(8, 1, 8, 8)
    alone, guided, both = (step(task(*more), x) for more in ((), TAUGHT, (*TAUGHT, "teacher.labels=0.5")))
    torch.testing.assert_close(both, 0.5 * alone + guided)


def test_two_steps_then_a_linear_classifier_whose_body_runs_packed(tmp_path):
    done = run(tmp_path / "run", 'teacher={divergence="guided", temperature=0.2}', STAGES)
    first, second = (load_file(done.folder / name / "model.safetensors") for name in ("2-activations", "3-both"))
    assert {name: value.shape for name, value in first.items()} == {name: value.shape for name, value in second.items()}
    model = load_model(done.folder)
    body = [name for name in second if not name.startswith("classifier")]
    after = model.net.state_dict()
    assert body and all(torch.equal(second[name], after[name]) for name in body)
    assert set(load_file(done.model)) == set(after)  # nothing of the slow copy, of the teacher, or of a projection
    images = torch.randn(16, 1, 8, 8)
    report = export(model.net.eval(), tmp_path / "net.bw", images)
    assert report.bits > 1000 and report.differing == 0 and report.comparison.labels_differing == 0
    expected = NumpyEngine(tmp_path / "net.bw")(images.numpy())
    for isa in available_isas():
        assert bw.load(tmp_path / "net.bw", isa=isa)(images.numpy()).tobytes() == expected.tobytes()


@pytest.mark.parametrize("more", [(), (*TAUGHT, "teacher.labels=1")], ids=["contrast", "both"])
def test_a_resumed_run_ends_with_the_same_weights(more, tmp_path):
    whole = run(tmp_path / "whole", "epochs=2", "keep=last", *more)
    run(tmp_path / "parts", "epochs=2", "keep=last", *more, stop_after=1)
    parts = resume_run(tmp_path / "parts", data=tiny_data(), progress=False)
    one, two = (load_file(done.model) for done in (whole, parts))
    assert all(torch.equal(one[name], two[name]) for name in one)
    queues = [torch.load(done.folder / "last.ckpt", weights_only=True)["momentum"]["queue"] for done in (whole, parts)]
    assert torch.equal(*queues) and queues[0].shape == (32, 6)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ('teacher={divergence="guided"}', "positive where the divergence is guided"),
        ("pretext.momentum=1", r"pretext\.momentum must be in \[0, 1\)"),
        ("pretext.queue=0", r"pretext\.queue must be 1 or more"),
    ],
)
def test_mistakes_are_named(override, message):
    with pytest.raises(RecipeError, match=message):
        tiny_recipe(*BASE, override)
