"""The recipes that come with the library: each is read, and takes a training step in every stage."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bitwright as bw
from bitwright.data import DataSet
from bitwright.nas.lesson import SupernetLesson
from bitwright.nas.supernet import Supernet
from bitwright.nas.variation import Variation
from bitwright.report.runs import method_of
from bitwright.train import DEMO, Recipe, is_search, read_recipe, read_search, write_recipe
from bitwright.train.augment import Targets
from bitwright.train.batches import TrainingBatches
from bitwright.train.catalogue import accepted_options, build_network
from bitwright.train.detection import as_scenes
from bitwright.train.model_file import TrainedModel, load_start, save_model
from bitwright.train.optim import lr_factor, make_optimizer
from bitwright.train.questions import asked_in_training
from bitwright.train.run import resolve_recipe
from bitwright.train.teacher import make_teacher

FOLDER = Path(__file__).parents[2] / "recipes"
RECIPES = sorted(path for path in FOLDER.glob("*/*.toml") if not is_search(path))
SEARCHES = sorted(path for path in FOLDER.glob("*/*.toml") if is_search(path))
SHORT = [path for path in RECIPES if path.stem.endswith("-short")]


def _name(path: Path) -> str:
    return str(path.relative_to(FOLDER)) if path.is_relative_to(FOLDER) else path.name


def _method(recipe: Recipe) -> str:
    return method_of(tomllib.loads(write_recipe(recipe)))


def _stages(recipe: Recipe) -> list[tuple[str, Recipe]]:
    return [(stage["name"], recipe.stage(i)) for i, stage in enumerate(recipe.stages)] or [("only", recipe)]


def _noise(channels: int, size: int) -> DataSet:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, size, size, channels), dtype=np.uint8)
    return DataSet(images, np.arange(4), images, np.arange(4), tuple("0123456789"), "noise")


@pytest.mark.parametrize("path", [DEMO, *RECIPES], ids=_name)
def test_every_recipe_takes_a_step_in_every_stage(path, tmp_path):
    width = accepted_options(read_recipe(path).network, {"width": 8})
    small = (f"network.{key}={value}" for key, value in width.items())
    recipe = read_recipe(path, overrides=(*small, "data.held_out=0", "data.samples=0"))
    assert recipe.title and recipe.data.source and 0 <= (recipe.published or 0) <= 1
    images = _noise(3, 32) if recipe.data.source.startswith("cifar") else _noise(1, 28)
    for name, stage in _stages(recipe):
        source = stage.teacher.source.replace("stage:", f"{tmp_path}/")
        data = as_scenes(replace(stage.detection, scenes=4, test_scenes=1), images)
        stage = resolve_recipe(replace(stage, teacher=replace(stage.teacher, source=source)), data)
        rates = [lr_factor(stage.schedule, epoch, stage.epochs) for epoch in range(stage.epochs)]
        assert max(rates) == 1 and min(rates) > 0
        assert all(epoch < stage.epochs for epoch in stage.schedule.milestones)
        net = build_network(stage)
        if stage.start.startswith("stage:"):  # what `bw import` brings is not at hand here
            load_start(net, stage.start.replace("stage:", f"{tmp_path}/"), stage.pretext, stage.detection)
        _step(net, stage, data)
        (tmp_path / name).mkdir()
        save_model(TrainedModel(net, stage, data.shape, data.label_names), tmp_path / name / "model.safetensors")


@pytest.mark.parametrize("path", SEARCHES, ids=_name)
def test_every_search_trains_a_supernet(path):
    recipe = read_search(path)
    assert f"`{_name(path)}`" in (FOLDER / "README.md").read_text(encoding="utf-8")
    net = build_network(resolve_recipe(replace(recipe.training, data=replace(recipe.data, held_out=0)), _noise(3, 32)))
    assert isinstance(net, Supernet)
    decaying = [group for group in make_optimizer(net, recipe.optimizer).param_groups if group["weight_decay"]]
    layers = (
        2 * len(net.blocks) + 2
    )  # as published: the weights of binary convolutions, the first one and the last layer
    assert [len(group["params"]) for group in decaying] == [layers]
    if recipe.search.bins == "ops":
        cheapest, dearest = map(Variation(net.space).price, (net.space.smallest(), net.space.largest()))
        assert abs(cheapest - recipe.search.low) < recipe.search.step and recipe.search.high < dearest
    if net.space.size == 32:
        x, y = torch.randn(2, 3, 32, 32), torch.tensor([0, 1])
        _, loss = SupernetLesson().step(net, net, x, lambda logits: torch.nn.functional.cross_entropy(logits, y))
        assert loss.isfinite()


def _step(net: torch.nn.Module, stage: Recipe, data: DataSet) -> None:
    optimizer = make_optimizer(net, stage.optimizer)
    batches = TrainingBatches(
        data.train_images, data.train_labels, stage.data, stage.augmentation,
        batch=4, seed=0, device=torch.device("cpu"), pretext=stage.pretext,
    )  # fmt: skip
    x, targets = next(iter(batches))
    before = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    bw.set_progress(net, 0.5)
    loss = _loss(net, stage, x, targets)
    (loss + bw.penalty(net, loss)).backward()
    optimizer.step()
    bw.after_step(net)
    assert loss.isfinite()
    assert all(parameter.isfinite().all() for parameter in net.parameters())
    assert any(not torch.equal(before[name], parameter) for name, parameter in net.named_parameters())


def _loss(net: torch.nn.Module, stage: Recipe, x: torch.Tensor, targets: Targets) -> torch.Tensor:
    question = asked_in_training(stage, net)
    x, right = question.show(net, x, targets)

    def label_loss(outputs: Any) -> torch.Tensor:
        assert right is not None
        return question.loss(outputs, right)

    teacher = make_teacher(stage.teacher, stage.data)
    return label_loss(net(x)) if teacher is None else teacher.step(net, net, x, label_loss)[1]


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("recipe.toml")), ids=_name)
def test_recipes_of_runs_are_still_read(path):
    recipe = read_recipe(path)
    if not recipe.stages:  # whose networks are in folders of their own
        build_network(recipe)


@pytest.mark.parametrize("path", RECIPES, ids=_name)
def test_recipes_lie_where_their_method_says(path):
    method = _method(read_recipe(path))
    several = ("detection", "domains", "domains_long", "s2_bnn")  # methods, or losses, or questions
    comparison = path.parent.name in several
    assert comparison or path.parent.name == ("float" if method == "none" else method)
    assert f"`{_name(path)}`" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_every_method_has_a_short_recipe_and_so_has_the_float_network():
    methods = [_method(read_recipe(path)) for path in SHORT]
    assert sorted(methods) == sorted([*bw.methods.__all__, *bw.methods.ON_TRAINED, "none"])


@pytest.mark.parametrize("path", SHORT, ids=_name)
def test_short_recipes_have_one_budget(path):
    recipe = read_recipe(path)
    stages = [stage for _, stage in _stages(recipe)]
    assert sum(stage.epochs for stage in stages) == 3
    like = read_recipe(FOLDER / "float" / "cifar10-resnet20-short.toml")
    for stage in stages:
        assert stage.data.source == like.data.source and stage.data.held_out == 0
        assert (stage.seed, stage.batch, stage.keep) == (like.seed, like.batch, like.keep)
        assert (stage.augmentation, stage.machine, stage.teacher.source.startswith("stage:")) == (
            like.augmentation, like.machine, bool(stage.teacher.source),
        )  # fmt: skip
        assert stage.network.name.endswith("resnet20") and stage.network.options["width"] == 8
