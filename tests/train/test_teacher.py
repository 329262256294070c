import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_data, tiny_recipe
from torch import nn

from bitwright.errors import RecipeError, RunError
from bitwright.train import train
from bitwright.train.config import Data
from bitwright.train.optional_tables import Teaching
from bitwright.train.teacher import make_teacher

STUDENT = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
DATA = Data("npz:unused", mean=(0.5,), std=(0.25,))


def given_network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Dropout(0.9))


def no_network():
    return 3


def step(**settings):
    teacher = make_teacher(Teaching(source=f"{__name__}:given_network", **settings), DATA)
    x = torch.randn(5, 1, 2, 2)
    logits, loss = teacher.step(STUDENT, STUDENT, x, lambda y: y.square().mean())
    return teacher.net(x), logits, loss


def test_the_distributional_loss_stands_alone_by_default():
    target, logits, loss = step()
    expected = -(target.softmax(1) * F.log_softmax(logits, 1)).sum(1).mean()
    torch.testing.assert_close(loss, expected)


def test_labels_logits_and_temperature_are_weighed():
    target, logits, loss = step(labels=0.5, logits=2.0, temperature=4.0)
    divergence = F.kl_div(F.log_softmax(logits / 4, 1), (target / 4).softmax(1), reduction="batchmean") * 16
    torch.testing.assert_close(loss, 0.5 * logits.square().mean() + 2 * divergence)


def test_attention_maps_of_named_features_are_matched():
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(8, 3))
    settings = Teaching(source=f"{__name__}:given_network", logits=0.0, labels=0.0, features=("0",), attention=2.0)
    teacher = make_teacher(settings, DATA)
    teacher.net = nn.Sequential(nn.Conv2d(1, 5, 1), nn.Flatten(), nn.Linear(20, 3)).eval()
    x = torch.randn(5, 1, 2, 2)
    _, loss = teacher.step(net, net, x, lambda y: y.sum())
    own, other = (F.normalize(m[0](x).square().sum(1).flatten(1), dim=1) for m in (net, teacher.net))
    torch.testing.assert_close(loss, 2 * (own - other).norm(dim=1).mean())


def test_features_may_have_another_name_in_the_teacher():
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    settings = Teaching(source=f"{__name__}:given_network", logits=0.0, features=("1 = 0", "0=1"))
    teacher = make_teacher(settings, DATA)
    teacher.net = nn.Sequential(nn.Conv2d(1, 5, 1), nn.Sigmoid(), nn.Flatten(), nn.Linear(20, 3)).eval()
    x = torch.randn(5, 1, 2, 2)
    _, loss = teacher.step(net, net, x, lambda y: y.sum())
    own, other = ([F.normalize(f.square().sum(1).flatten(1)) for f in (m[0](x), m[:2](x))] for m in (net, teacher.net))
    torch.testing.assert_close(loss, sum((a - b).norm(dim=1).mean() for a, b in zip(own, reversed(other), strict=True)))


def test_the_teacher_sees_pixels_in_its_own_normalisation(tmp_path):
    run = train(
        tiny_recipe('method={name = "none"}', "epochs=1", "data.mean=[0.1]", "data.std=[0.5]"),
        tmp_path / "teacher", data=tiny_data(), progress=False,
    )  # fmt: skip
    teacher = make_teacher(Teaching(source=str(run.folder)), DATA)
    pixels = torch.rand(1, 1, 2, 2)
    seen = (pixels - 0.5) / 0.25 * teacher.factor + teacher.offset
    torch.testing.assert_close(seen, (pixels - 0.1) / 0.5)
    assert not teacher.net.training and not any(p.requires_grad for p in teacher.net.parameters())
    student = tiny_recipe(f"teacher.source={run.folder}", "teacher.features=['features.0']", "epochs=1")
    result = train(student, tmp_path / "student", data=tiny_data(), progress=False)
    assert result.finished


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"source": "no/such/folder"}, RunError, "not found"),
        ({"source": f"{__name__}:absent"}, RecipeError, "has no function"),
        ({"source": f"{__name__}:no_network"}, RecipeError, "must return an nn.Module, found int"),
    ],
)
def test_a_teacher_that_is_not_there_is_named(settings, error, message):
    with pytest.raises(error, match=message):
        make_teacher(Teaching(**settings), DATA)


def test_a_teacher_with_nothing_to_teach_is_refused():
    with pytest.raises(RecipeError, match="given something to teach"):
        Teaching(source="x", logits=0.0)
    with pytest.raises(RecipeError, match=r"machine\.compile"):
        tiny_recipe("teacher.features=['features.0']", "machine.compile=true")
