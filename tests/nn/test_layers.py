"""Binary layers: training and deployed arithmetic, modes, precisions."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bitwright import methods
from bitwright.core.binarizers import LevelPair, ScaledSign, Sign, Step
from bitwright.core.budget import ConnectionBudget
from bitwright.core.estimators import ste
from bitwright.core.levels import read_levels
from bitwright.core.method import Method
from bitwright.methods import (
    ada_bin,
    bi_real_net,
    binary_connect,
    bnn,
    dorefa,
    elastic_link,
    frac_bnn,
    ir_net,
    rbnn,
    react_net,
    real_to_binary,
    sbnn,
    sbnn_v1,
    sd_bnn,
    shifted,
    si_bnn,
    subbit,
    xnor_net,
)
from bitwright.methods.sbnn import GeneralDomain
from bitwright.nn.convert import binarize

EVERY = lambda name, layer: True  # noqa: E731


def layers() -> list[nn.Module]:
    return [
        nn.Conv2d(6, 9, 3, padding=1),
        nn.Conv2d(6, 8, (3, 2), stride=(2, 1), padding=(0, 2), dilation=(1, 2), groups=2, bias=False),
        nn.Conv2d(6, 6, 3, padding="same", groups=6),
        nn.Conv2d(6, 4, 2, padding="valid"),
        nn.Linear(7, 5),
        nn.Linear(7, 5, bias=False),
    ]


METHODS = {
    "ada_bin": ada_bin(),
    "ada_bin paper": ada_bin("paper"),
    "bi_real_net": bi_real_net(),
    "binary_connect": binary_connect(),
    "bnn": bnn(),
    "dorefa": dorefa(),
    "elastic_link": elastic_link(input_scale=True),
    "frac_bnn": frac_bnn(),
    "ir_net": ir_net(),
    "rbnn": rbnn(mix=0.6),
    "react_net": react_net(),
    "real_to_binary": real_to_binary(),
    "sbnn": sbnn(),
    "sbnn_v1 learned": sbnn_v1(levels="learned"),
    "sd_bnn": sd_bnn(),
    "shifted learned": shifted(learned="channel", window="stays"),
    "si_bnn": si_bnn(),
    "subbit": subbit(every=1),
    "subbit general": subbit(sparsity=0.9, every=1),
    "xnor_net": xnor_net(),
    "xnor_net scaled": xnor_net(input_scale=True),
}
COMPILED = METHODS | {name: getattr(methods, name)() for name in methods.__all__}
COMPILED["binary_connect stochastic"] = binary_connect(stochastic=True)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("index", range(6))
def test_training_and_deployed_arithmetic_agree(index: int, method: Method) -> None:
    layer = binarize(layers()[index], method, where=EVERY)
    if hasattr(layer.weight_binarizer, "phi"):
        layer.weight_binarizer.phi.data.fill_(-0.6)
    x = torch.randn(2, 6, 7, 7) if isinstance(layer, nn.Conv2d) else torch.randn(2, 3, 7)
    x.requires_grad_()
    results = {}
    for mode in (True, False):
        layer.train(mode)
        y = layer(x)
        parameters = [p for p in layer.parameters()]
        results[mode] = (y, *torch.autograd.grad(y.square().sum(), [x, *parameters]))
    for trained, deployed in zip(results[True], results[False], strict=True):
        torch.testing.assert_close(deployed, trained, rtol=1e-4, atol=1e-4)


def test_forward_is_the_formula() -> None:
    layer = binarize(nn.Conv2d(4, 3, 3, padding=1), sbnn(), where=EVERY)
    layer.weight_binarizer.load_state_dict({"tau": torch.tensor(-0.4), "phi": torch.tensor(0.1)})
    x = torch.randn(2, 4, 5, 5)
    w = torch.where(layer.weight >= 0, torch.tensor(-0.3), torch.tensor(0.5))
    expected = F.conv2d(torch.where(x >= 0, 1.0, -1.0), w, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(layer.eval()(x), expected)
    torch.testing.assert_close(read_levels(layer.binarized_weight()).decode(), w)


def test_activations_of_zero_and_one() -> None:
    method = Method(weight=bi_real_net().weight, activation=lambda layer: Step(0.5))
    layer = binarize(nn.Linear(6, 4), method, where=EVERY)
    x = torch.rand(3, 6)
    torch.testing.assert_close(layer.eval()(x), F.linear((x >= 0.5).float(), layer.binarized_weight(), layer.bias))


def test_a_sample_without_a_batch_axis() -> None:
    layer = binarize(nn.Conv2d(4, 3, 3), sbnn(), where=EVERY).eval()
    x = torch.randn(4, 5, 5)
    torch.testing.assert_close(layer(x), layer(x[None])[0])


def test_mixed_precision_trains_and_evaluates() -> None:
    layer = binarize(nn.Conv2d(4, 3, 3), sbnn(), where=EVERY)
    x = torch.randn(2, 4, 5, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
        assert y.dtype == torch.bfloat16
        y.float().square().sum().backward()
        deployed = layer.eval()(x)
    assert torch.equal(deployed, layer(x))  # what is deployed does not depend on autocast
    assert layer.weight.grad is not None and layer.weight.grad.dtype == torch.float32


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, while tracing
@pytest.mark.parametrize("mode", ["training", "mixed precision", "deployed"])
@pytest.mark.parametrize("method", COMPILED.values(), ids=COMPILED)
def test_layers_compile_without_a_graph_break(method: Method, mode: str) -> None:
    layer = binarize(nn.Conv2d(4, 3, 3), method, where=EVERY).train(mode != "deployed")
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    x = torch.randn(2, 4, 5, 5)
    found = []
    for call in (compiled, layer):
        torch.manual_seed(1)
        layer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mode == "mixed precision"):
            y = call(x)
        y.float().square().sum().backward()
        found.append((y, layer.weight.grad))
    (y, grad), (plain_y, plain_grad) = found
    assert torch.equal(y, plain_y)
    torch.testing.assert_close(grad, plain_grad)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch's own, while tracing
def test_export_sees_one_operator_a_layer() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(4, 4), nn.Linear(4, 2))
    binarize(net, sbnn()).eval()
    x = torch.randn(1, 3, 5, 5)
    program = torch.export.export(net, (x,))
    targets = [str(node.target) for node in program.graph.nodes if "bitwright" in str(node.target)]
    assert targets.count("bitwright.binary_conv2d.default") == targets.count("bitwright.binary_linear.default") == 1
    assert targets.count("bitwright.sign.default") == 4
    assert torch.equal(program.module()(x), net(x))


class Weighted(LevelPair):
    """Levels 0.3 and -0.9, to see which are used."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.6))
        self.shift = nn.Parameter(torch.tensor(-0.5))

    def codes(self, x: torch.Tensor) -> torch.Tensor:
        return ste(x)


class InputMean(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return y * x.mean()


@pytest.mark.parametrize("weight", [ScaledSign, lambda: GeneralDomain(Sign(), ConnectionBudget(0.5, 0.0))])
@pytest.mark.parametrize("index", range(6))
def test_general_levels_on_both_sides_agree_with_training(index: int, weight) -> None:
    method = Method(weight=lambda layer: weight(), activation=lambda layer: Weighted())
    layer = binarize(layers()[index], method, where=EVERY)
    x = torch.randn(2, 6, 7, 7) if isinstance(layer, nn.Conv2d) else torch.randn(2, 3, 7)
    assert sorted(layer.input_binarizer(x).unique().tolist()) == pytest.approx([-0.9, 0.3])
    torch.testing.assert_close(layer.eval()(x), layer.train()(x), rtol=1e-4, atol=1e-4)


def test_the_output_is_rescaled_by_the_real_input() -> None:
    plain = Method(weight=lambda layer: ScaledSign(), activation=lambda layer: Sign())
    rescaled = replace(plain, rescale=lambda layer: InputMean())
    layer = nn.Linear(7, 5)
    x = torch.randn(3, 7)
    y = binarize(copy.deepcopy(layer), plain, where=EVERY)(x)
    torch.testing.assert_close(binarize(layer, rescaled, where=EVERY)(x), y * x.mean())


def test_real_activations_stay_real_in_both_modes() -> None:
    method = Method(weight=lambda layer: ScaledSign(), activation=lambda layer: nn.Identity())
    layer = binarize(nn.Conv2d(6, 9, 3, padding=1), method, where=EVERY)
    x = torch.randn(2, 6, 7, 7)
    expected = F.conv2d(x, layer.binarized_weight(), layer.bias, padding=1)
    assert torch.equal(layer(x), expected)
    assert torch.equal(layer.eval()(x), expected)
