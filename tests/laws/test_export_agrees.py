"""Whatever method trained it and whatever network it is: the file computes what torch computes."""

import pytest
import torch
import torch.nn.functional as F
from networks import NETWORKS, SIDES

import bitwright as bw
from bitwright.lower import export

CHAINS = {"vgg_small", "bnn_vgg", "alexnet"}
CODED = {"frac_bnn_resnet20", "frac_bnn_mobilenet"}  # whose thermometer reads the file's pixels
GRAY = (0.0,), (1.0,)
REAL_INPUTS = {"binary_connect"}  # whose layers are real ones to a file
EVERY_METHOD = {"vgg_small", "resnet20"}
OTHERS = {"bi_real_net", "frac_bnn"}
PAIRS = [
    (network, method) for network in NETWORKS for method in (bw.methods.__all__ if network in EVERY_METHOD else OTHERS)
]


WIRINGS = {
    "subsampled": lambda: bw.zoo.resnet20(4, 1, width=4, shortcut="subsample", nonlinearity="prelu"),
    "norm first": lambda: bw.zoo.resnet20(
        4, 1, width=4, order="norm-conv-norm-add-act", shortcut="conv_pool", nonlinearity="identity", head="relu"
    ),
    "sum last": lambda: bw.zoo.resnet20(4, 1, width=4, order="norm-conv-act-add", shortcut="pool_conv", head="plain"),
}


def trained(net: torch.nn.Module, shape: tuple[int, ...], classes: int = 4, images=torch.randn) -> torch.nn.Module:
    """The network after two steps on noise."""
    for norm in net.modules():
        if isinstance(norm, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            norm.momentum = None  # with stale statistics, layers of real inputs would enlarge rounding errors each
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(2):
        loss = F.cross_entropy(net(images(shape)), torch.randint(0, classes, shape[:1])) + bw.penalty(net)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        bw.after_step(net)
    return net


@pytest.mark.parametrize(("network", "method"), sorted(PAIRS))
def test_export_agrees(network, method, tmp_path):
    shape = (8, 1, SIDES[network], SIDES[network])
    net = bw.binarize(NETWORKS[network](), getattr(bw.methods, method)())
    if network in CODED:
        trained(net, shape, images=torch.rand)
        report = export(net, tmp_path / "net.bw", torch.randint(0, 256, shape, dtype=torch.uint8), pixels=GRAY)
    else:
        report = export(trained(net, shape), tmp_path / "net.bw", torch.randn(shape))
    assert report.bits > 5000 or (method in REAL_INPUTS and report.bits == 0)
    assert report.differing <= (0 if network in CHAINS else report.bits / 1000)
    assert report.comparison.labels_differing == 0
    # what a sum carries past the signs keeps the rounding of the first layer, and all that follow
    assert report.comparison.logits_relative < (1e-5 if network in CHAINS else 3e-5)


@pytest.mark.parametrize("wiring", WIRINGS)
def test_every_wiring_agrees(wiring, tmp_path):
    net = trained(bw.binarize(WIRINGS[wiring](), bw.methods.bi_real_net()), (8, 1, 16, 16))
    report = export(net, tmp_path / "net.bw", torch.randn(8, 1, 16, 16))
    assert report.differing <= report.bits / 1000
    assert report.comparison.labels_differing == 0


def test_a_network_for_large_images_agrees_and_runs(tmp_path):
    net = bw.zoo.resnet18(1000, shortcut_every=1, nonlinearity="identity", stem="large", head="plain")
    trained(bw.binarize(net, bw.methods.bi_real_net()), (2, 3, 224, 224), classes=1000)
    x = torch.randn(2, 3, 224, 224)
    report = export(net, tmp_path / "net.bw", x)
    assert report.bits > 3_000_000 and report.differing <= report.bits / 1000
    assert report.bytes < 4.3e6
    with torch.no_grad():
        expected = net.eval()(x)
    found = torch.from_numpy(bw.load(tmp_path / "net.bw")(x.numpy()))
    assert torch.equal(found.argmax(1), expected.argmax(1))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
