"""The code of docs/uncertainty.md is run as it stands, and its recipe is one."""

import re
from pathlib import Path

import torch
from torch import nn

import bitwright as bw
from bitwright.train import parse_recipe

PAGE = (Path(__file__).parents[2] / "docs" / "uncertainty.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


def test_the_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 3))
    images, labels = torch.randn(32, 1, 8, 8), torch.arange(32) % 3
    names = {"net": bw.binarize(net, bw.methods.bi_real_net()), "images": images, "batches": [(images, labels)]}
    train, use = blocks("python")
    exec(train, names)
    exec(use, names | {"x": images.numpy()}, found := {})
    prediction = found["prediction"]
    assert prediction.labels.shape == (32,) and prediction.mean.shape == (32, 3)
    assert prediction.mutual_information.max() > 0


def test_the_recipe_is_one():
    (stages,) = blocks("toml")
    head = 'title = "t"\nepochs = 2\ndata = {source = "x"}\nnetwork = {name = "resnet20"}\nmethod = {name = "sbnn"}\n'
    stage = parse_recipe(head + stages).stage(1)
    assert stage.bayesian.layer == "first" and stage.optimizer.groups[0].lr == 10
