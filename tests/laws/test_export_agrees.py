"""Whatever method trained it and whatever network it is: the file computes what torch computes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import bitwright as bw
from bitwright.lower import export

NETWORKS = {
    "vgg_small": lambda: bw.zoo.vgg_small(num_classes=4, in_channels=1, width=6, size=16),
    "resnet20": lambda: bw.zoo.resnet20(num_classes=4, in_channels=1, width=4),
    "resnet18": lambda: bw.zoo.resnet18(num_classes=4, in_channels=1, width=4),
}
CHAINS = {"vgg_small"}
REAL_INPUTS = {"binary_connect"}  # whose layers are real ones to a file


def test_every_network_of_the_zoo_is_here():
    assert NETWORKS.keys() == set(bw.zoo.__all__)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("method", bw.methods.__all__)
def test_export_agrees(method, network, tmp_path):
    net = bw.binarize(NETWORKS[network](), getattr(bw.methods, method)())
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            norm.momentum = None  # with stale statistics, layers of real inputs would enlarge rounding errors each
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(2):
        loss = F.cross_entropy(net(torch.randn(8, 1, 16, 16)), torch.randint(0, 4, (8,))) + bw.penalty(net)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        bw.after_step(net)
    report = export(net, tmp_path / "net.bw", torch.randn(8, 1, 16, 16))
    assert report.bits > 5000 or (method in REAL_INPUTS and report.bits == 0)
    assert report.differing <= (0 if network in CHAINS else report.bits / 1000)
    assert report.comparison.labels_differing == 0
    assert report.comparison.logits_relative < 1e-5
