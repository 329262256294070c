"""binarize: what it chooses, what survives it, and what it refuses."""

import copy
import io
import pickle
import warnings
from typing import ClassVar

import pytest
import torch
from torch import nn

from bitwright import zoo
from bitwright.core.binarizers import Sign
from bitwright.core.method import Method
from bitwright.methods import bi_real_net, sbnn, xnor_net
from bitwright.nn.convert import binarize, binarize_parameter
from bitwright.nn.layers import BinaryConv2d, BinaryLinear


def plain() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 6), nn.Linear(6, 2)
    )


def binary_names(net: nn.Module) -> list[str]:
    return [name for name, m in net.named_modules() if isinstance(m, BinaryConv2d | BinaryLinear)]


def test_first_and_last_layer_stay_real_by_default() -> None:
    net = plain()
    assert binarize(net, bi_real_net()) is net
    assert binary_names(net) == ["1", "4"]


def test_real_layers_of_the_module_stay_real() -> None:
    net = binarize(zoo.resnet20(width=4, shortcut="conv"), bi_real_net())
    real = {name for name, m in net.named_modules() if type(m) in (nn.Conv2d, nn.Linear)}
    assert real == set(net.real_layers)
    assert len(binary_names(net)) == 18


@pytest.mark.parametrize("where", [["1"], {"1"}, ("1",), "1", lambda name, layer: name == "1"])
def test_where_is_names_or_a_predicate(where) -> None:
    assert binary_names(binarize(plain(), bi_real_net(), where=where)) == ["1"]


def test_the_module_itself_may_be_the_layer() -> None:
    layer = nn.Linear(3, 2)
    assert binarize(layer, sbnn(), where=[""]) is layer
    assert type(layer) is BinaryLinear


def test_layers_parameters_hooks_and_keys_survive() -> None:
    net = plain()
    layer, weight, keys = net[1], net[1].weight, list(net.state_dict())
    calls = []
    layer.register_forward_hook(lambda *a: calls.append(1))
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    binarize(net, bi_real_net())
    assert net[1] is layer and layer.weight is weight and list(net.state_dict()) == keys
    before = weight.detach().clone()
    net(torch.randn(2, 3, 5, 5)).square().sum().backward()
    optimizer.step()
    assert calls == [1]
    assert not torch.equal(weight, before)


def test_float_checkpoints_load_strictly_and_back() -> None:
    source = plain()
    net = binarize(plain(), sbnn())
    net[1].weight_binarizer.tau.data.fill_(0.25)
    net.load_state_dict(source.state_dict())
    assert torch.equal(net[1].weight, source[1].weight)
    assert net[1].weight_binarizer.tau.item() == 0.25
    target = plain()
    missing, unexpected = target.load_state_dict(net.state_dict(), strict=False)
    assert not missing and all(".weight_binarizer." in key for key in unexpected)

    damaged = net.state_dict()
    del damaged["1.weight_binarizer.tau"]
    with pytest.raises(RuntimeError, match=r"1\.weight_binarizer\.tau"):
        net.load_state_dict(damaged)


@pytest.mark.parametrize("method", [bi_real_net, sbnn, xnor_net])
def test_copies_and_pickles_compute_the_same(method) -> None:
    net = binarize(plain(), method()).eval()
    x = torch.randn(2, 3, 5, 5)
    buffer = io.BytesIO()
    torch.save(net, buffer)
    buffer.seek(0)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), torch.load(buffer, weights_only=False)):
        assert torch.equal(twin(x), net(x))
        budgets = [m.penalty_term for m in twin.modules() if hasattr(m, "penalty_term")]
        assert len({id(b) for b in budgets}) == min(len(budgets), 1)


def test_subclasses_with_their_own_forward_are_left_alone() -> None:
    class Standardised(nn.Conv2d):
        pass

    net = nn.Sequential(nn.Conv2d(3, 4, 3), Standardised(4, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(4, 2))
    binarize(net, bi_real_net())
    assert binary_names(net) == ["2"] and type(net[1]) is Standardised
    with pytest.raises(ValueError, match=r"1: expected exactly nn\.Conv2d or nn\.Linear, found Standardised"):
        binarize(net, bi_real_net(), where=["1"])


def test_a_function_in_place_of_a_method_is_explained() -> None:
    with pytest.raises(TypeError, match=r"found the function sbnn, which makes one: write sbnn\(\)"):
        binarize(plain(), sbnn)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"expected a Method, such as .*, found str"):
        binarize(plain(), "sbnn")  # type: ignore[arg-type]


def test_unsuitable_layers_are_refused_and_nothing_has_changed() -> None:
    net = plain()
    net.insert(2, nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"))
    with pytest.raises(ValueError, match=r"2 \(Conv2d\) pads with padding_mode='reflect', expected 'zeros'"):
        binarize(net, bi_real_net())
    assert binary_names(net) == []
    with pytest.raises(ValueError, match=r"pads this kernel unevenly"):
        binarize(nn.Conv2d(4, 4, 2, padding="same"), bi_real_net(), where=[""])
    with pytest.raises(ValueError, match=r"expected a real weight, found torch.complex64"):
        binarize(nn.Linear(2, 2, dtype=torch.complex64), bi_real_net(), where=[""])


def test_wrong_choices_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Sequential has no module 'inner'; its layers are 0, 1, 4, 5"):
        binarize(plain(), bi_real_net(), where=["inner"])
    with pytest.raises(ValueError, match=r"no layer to binarize: Linear has 1 layers .* first and the last"):
        binarize(nn.Linear(2, 2), bi_real_net())
    with pytest.raises(ValueError, match=r"none is chosen"):
        binarize(plain(), bi_real_net(), where=lambda name, layer: False)
    with pytest.raises(ValueError, match=r"1 \(BinaryConv2d\) is binary already"):
        binarize(binarize(plain(), bi_real_net()), bi_real_net())
    with pytest.raises(ValueError, match=r"\(BinaryConv2d\) is binary already"):
        binarize(binarize(zoo.resnet20(width=4), sbnn()), sbnn())


def test_two_calls_for_different_layers() -> None:
    net = binarize(plain(), bi_real_net(), where=["1"])
    binarize(net, sbnn(), where=["4"])
    assert binary_names(net) == ["1", "4"]


def test_a_relu_before_a_sign_is_warned_of_once() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 1), nn.Hardtanh(), nn.Conv2d(4, 4, 1),
    )  # fmt: skip
    with pytest.warns(UserWarning, match=r"2, 6: a ReLU comes before") as caught:
        binarize(net, bi_real_net(), where=["2", "6", "8"])
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        binarize(zoo.vgg_small(width=4), bi_real_net())


def test_modes_and_devices_follow_the_layer() -> None:
    net = binarize(plain().eval(), sbnn())
    assert not net[1].weight_binarizer.training
    assert all(p.device == net[1].weight.device for p in net.parameters())


def test_a_parameter_of_a_foreign_layer() -> None:
    layer = nn.Conv1d(3, 4, 3)
    latent = layer.weight
    binarize_parameter(layer, "weight", bi_real_net().weight(layer))
    assert len(layer.weight[0].unique()) == 2
    layer(torch.randn(2, 3, 5)).square().sum().backward()
    assert latent.grad is not None
    assert torch.equal(copy.deepcopy(layer).weight, layer.weight)
    with pytest.raises(ValueError, match=r"Conv1d has no parameter 'kernel'; it has "):
        binarize_parameter(layer, "kernel", bi_real_net().weight(layer))
    with pytest.raises(ValueError, match=r"LSTM keeps its own list of weights"):
        binarize_parameter(nn.LSTM(2, 2), "weight_hh_l0", bi_real_net().weight(layer))


class SaysHowItReads(nn.Module):
    """A network whose first layer multiplies binary weights with its real input."""

    real_layers = ("last",)
    input_binarizers: ClassVar = {"first": nn.Identity}

    def __init__(self) -> None:
        super().__init__()
        self.first, self.middle, self.last = (nn.Linear(4, 4) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.middle(self.first(x)))


def test_a_network_may_say_how_its_layers_read_their_input() -> None:
    rescaled = Method(bi_real_net().weight, bi_real_net().activation, rescale=lambda layer: nn.Bilinear(4, 4, 4))
    net = binarize(SaysHowItReads(), rescaled)
    assert isinstance(net.first.input_binarizer, nn.Identity) and net.first.rescale is None
    assert isinstance(net.middle.input_binarizer, Sign) and isinstance(net.middle.rescale, nn.Bilinear)
    x = torch.randn(2, 4)
    expected = nn.functional.linear(x, net.first.binarized_weight(), net.first.bias)
    torch.testing.assert_close(net.first(x), expected)
    torch.testing.assert_close(net.eval().first(x), expected)
