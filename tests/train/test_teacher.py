import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tiny import tiny_data, tiny_recipe
from torch import nn

from bitwright.distill import attention_loss
from bitwright.errors import RecipeError, RunError
from bitwright.train import parse_recipe, read_recipe, train
from bitwright.train.catalogue import make_network
from bitwright.train.config import Data, write_recipe
from bitwright.train.optional_tables import Choice, Teaching
from bitwright.train.task import Task
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


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_logits_may_be_matched_by_cross_entropy(temperature):
    target, logits, loss = step(divergence="cross_entropy", temperature=temperature)
    soft = (target / temperature).softmax(1)
    expected = -(soft * F.log_softmax(logits / temperature, 1)).sum(1).mean() * temperature**2
    torch.testing.assert_close(loss, expected)


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


def blocks(width: int = 3) -> nn.Sequential:
    """Two blocks and a classifier, for images of 2x2."""
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, width, 1), nn.BatchNorm2d(width)),
        nn.Sequential(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.Dropout(0.5)),
        nn.Flatten(), nn.Linear(4 * width, 3),
    )  # fmt: skip


def block_teacher(net: nn.Module | None = None, **settings):
    settings = {"logits": 0.0, "attention": 0.0, "maps": 1.0, "features": ("0",)} | settings
    teacher = make_teacher(Teaching(source=f"{__name__}:given_network", **settings), DATA)
    teacher.net = (net or blocks()).eval().requires_grad_(False)
    return teacher


def test_outputs_of_named_modules_are_matched():
    net, x = blocks(), torch.randn(5, 1, 2, 2)
    teacher = block_teacher(maps=2.0, labels=1.0)
    _, loss = teacher.step(net, net, x, lambda y: torch.tensor(7.0))
    torch.testing.assert_close(loss, 7 + 2 * (net[0](x) - teacher.net[0](x)).square().mean())
    teacher = block_teacher(teacher.net, distance="cosine", features=("3", "0"))
    net.eval()
    _, loss = teacher.step(net, net, x, lambda y: y.sum())
    pairs = [(net(x), teacher.net(x)), (net[0](x), teacher.net[0](x))]
    torch.testing.assert_close(loss, sum(1 - F.cosine_similarity(a.flatten(1), b.flatten(1)).mean() for a, b in pairs))


@pytest.mark.parametrize("inputs", ["whole", "student", "teacher"])
def test_blocks_learn_with_those_before_them_or_alone(inputs):
    net, x = blocks().eval(), torch.randn(5, 1, 2, 2)
    teacher = block_teacher(features=("1",), inputs=inputs)
    _, loss = teacher.step(net, net, x, lambda y: y.sum())
    given = (teacher.net if inputs == "teacher" else net)[0](x)
    torch.testing.assert_close(loss, (net[1](given) - teacher.net[:2](x)).square().mean())
    loss.backward()
    assert net[1][0].weight.grad.any()
    assert (net[0][0].weight.grad is not None) == (inputs == "whole")


@pytest.mark.parametrize("inputs", ["whole", "student", "teacher"])
def test_a_step_leaves_the_teacher_as_it_was_and_counts_once(inputs):
    net, teacher = blocks(), block_teacher(inputs=inputs, logits=1.0, features=("0", "1"))
    held = {name: value.clone() for name, value in teacher.net.state_dict().items()}
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(3):
        _, loss = teacher.step(net, net, torch.randn(5, 1, 2, 2), lambda y: y.sum())
        loss.backward()
        optimizer.step()
    assert all(torch.equal(value, held[name]) for name, value in teacher.net.state_dict().items())
    assert all(p.grad is None and not p.requires_grad for p in teacher.net.parameters())
    assert not any(module.training for module in teacher.net.modules())
    assert net[0][1].num_batches_tracked == net[1][1].num_batches_tracked == 3


def test_the_task_trains_without_its_teacher():
    recipe = tiny_recipe(f"teacher.source={__name__}:given_network", "data.mean=[0.5]", "data.std=[0.25]")
    task = Task(recipe, STUDENT)
    task.train()
    assert task.net.training and not any(module.training for module in task._teacher.net.modules())
    assert {id(p) for p in task.parameters()} == {id(p) for p in STUDENT.parameters()}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"teacher.features: 0 returns \(3, 2, 2\) a sample, the teacher's 0 \(5, 2, 2\); expected one shape"),
        ({"features": ("0=2",)}, r"0 returns \(3, 2, 2\) a sample, the teacher's 2 \(20,\); expected one shape"),
        ({"maps": 0.0, "attention": 1.0, "features": ("0=3",)}, r"teacher's 3 \(3,\); expected maps of one height and"),
        (
            {"attention": 1.0, "features": ("3",)},
            r"3 returns \(3,\) a sample, .* expected maps of one height and width",
        ),
        ({"inputs": "teacher", "features": ("1",)}, r"1 is given \(3, 2, 2\) a sample, the teacher's 1 \(5, 2, 2\)"),
    ],
)
def test_features_that_do_not_fit_are_named(settings, message):
    net = blocks()
    with pytest.raises(RecipeError, match=message):
        block_teacher(blocks(5), **settings).step(net, net, torch.randn(4, 1, 2, 2), lambda y: y.sum())


def test_attention_alone_asks_for_no_more_than_the_size():
    net, x = blocks(), torch.randn(4, 1, 2, 2)
    teacher = block_teacher(blocks(5), maps=0.0, attention=1.0)
    _, loss = teacher.step(net, net, x, lambda y: y.sum())
    torch.testing.assert_close(loss, attention_loss([net[0](x)], [teacher.net[0](x)]))


NETWORK = Choice("vgg_small", {"width": 4, "num_classes": 3, "in_channels": 1, "size": 8})


@pytest.mark.parametrize("form", ["safetensors", "pth", "under state_dict", "of several devices"])
def test_a_file_of_weights_is_a_teacher_with_its_network(form, tmp_path):
    net = make_network(NETWORK)
    path = tmp_path / f"net.{'safetensors' if form == 'safetensors' else 'pth'}"
    weights = net.state_dict()
    if form == "safetensors":
        save_file(weights, path)
    else:
        several = {f"module.{name}": value for name, value in weights.items()}
        contents = {"pth": weights, "under state_dict": {"state_dict": weights, "epoch": 3}}
        torch.save(contents.get(form, several), path)
    teacher = make_teacher(Teaching(source=str(path), network=NETWORK, mean=(0.1,), std=(0.5,)), DATA)
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(teacher.net(x), net.eval()(x))
    torch.testing.assert_close((x - 0.5) / 0.25 * teacher.factor + teacher.offset, (x - 0.1) / 0.5)
    with pytest.raises(RecipeError, match=r"teacher.network: expected the network whose weights .*net\..* holds"):
        make_teacher(Teaching(source=str(path)), DATA)
    wide = Choice("vgg_small", NETWORK.options | {"width": 8})
    with pytest.raises(RunError, match=r"net\..* its weights do not fit teacher.network vgg_small: .*size mismatch"):
        make_teacher(Teaching(source=str(path), network=wide), DATA)
    with pytest.raises(RecipeError, match=r"\[teacher.network\] vgg_small: .*did you mean teacher.network.width"):
        make_teacher(Teaching(source=str(path), network=Choice("vgg_small", {"widht": 8})), DATA)


def test_a_recipe_says_whose_weights_they_are_and_the_data_the_rest(tmp_path):
    torch.save(make_network(NETWORK).state_dict(), tmp_path / "net.pth")
    recipe = tiny_recipe(
        f"teacher.source={tmp_path / 'net.pth'}", 'teacher.network={name = "vgg_small", width = 4}', "epochs=1"
    )
    result = train(recipe, tmp_path / "run", data=tiny_data(), progress=False)
    resolved = read_recipe(result.folder / "recipe.toml")
    assert resolved.teacher.network == NETWORK
    assert parse_recipe(write_recipe(resolved)) == resolved
    again = make_teacher(Teaching(source=str(result.folder / "last.ckpt")), DATA)
    kept = make_teacher(Teaching(source=str(result.folder)), DATA)
    assert all(torch.equal(a, b) for a, b in zip(again.net.parameters(), kept.net.parameters(), strict=True))
    assert torch.equal(again.factor, kept.factor) and torch.equal(again.offset, kept.offset)


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
    with pytest.raises(RecipeError, match=r"teacher\.features must be given where maps are matched"):
        Teaching(source="x", maps=1.0)
    with pytest.raises(RecipeError, match=r"teacher\.mean must be as many numbers as teacher\.std"):
        Teaching(source="x", mean=(0.5,))
    with pytest.raises(RecipeError, match=r"machine\.compile"):
        tiny_recipe("teacher.features=['features.0']", "machine.compile=true")
