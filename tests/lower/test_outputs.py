"""Networks that return several tensors: one row in the file, and what the network returned where it runs."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bitwright as bw
from bitwright.runtime.reference import NumpyEngine


class Pyramid(nn.Module):
    """Two maps and a vector, returned as `form` makes them."""

    def __init__(self, form: Callable[[Tensor, Tensor, Tensor], object]) -> None:
        super().__init__()
        self.form = form
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.down = nn.Conv2d(4, 6, 3, 2, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.top = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> object:
        fine = self.stem(x)
        coarse = self.norm(self.down(fine))
        return self.form(fine, coarse, self.top(coarse.mean((2, 3))))


FORMS = {
    "dict": lambda fine, coarse, top: {"p3": fine, "p 4": coarse, "top": top},
    "other order": lambda fine, coarse, top: {"top": top, "p3": fine},
    "tuple": lambda fine, coarse, top: (coarse, fine),
    "list": lambda fine, coarse, top: [coarse.relu(), top],
    "one of a tuple": lambda fine, coarse, top: (fine,),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("load", [bw.load, NumpyEngine])
def test_the_packed_network_returns_what_the_network_returns(form, load, tmp_path):
    torch.manual_seed(0)
    net = bw.binarize(Pyramid(FORMS[form]), bw.methods.bi_real_net(), where=["down"]).eval()
    x = torch.randn(3, 3, 8, 6)
    report = bw.export(net, tmp_path / "net.bw", x)
    assert report.differing == 0
    engine = load(tmp_path / "net.bw")
    with torch.no_grad():
        expected, found = net(x), engine(x.numpy())
    assert type(found) is (dict if isinstance(expected, dict) else tuple)
    pairs = (
        [(str(i), value) for i, value in enumerate(expected)] if not isinstance(expected, dict) else expected.items()
    )
    assert [*engine.output_shapes] == [name for name, _ in pairs]
    for (name, value), y in zip(pairs, found.values() if isinstance(found, dict) else found, strict=True):
        assert y.shape == value.shape and engine.output_shapes[name] == value.shape[1:]
        np.testing.assert_allclose(y, value.numpy(), rtol=1e-5, atol=1e-5)


def test_labels_name_classes_of_whatever_the_maps_mean(tmp_path):
    net = Pyramid(FORMS["dict"]).eval()
    bw.export(net, tmp_path / "net.bw", torch.randn(2, 3, 8, 8), labels=["cat", "dog"])
    assert bw.load(tmp_path / "net.bw").labels == ("cat", "dog")


@pytest.mark.parametrize(
    ("form", "found"),
    [
        (lambda fine, coarse, top: {"maps": {"p3": fine}, "top": top}, "returns 2 values"),
        (lambda fine, coarse, top: (fine, None), "returns 2 values"),
        (lambda fine, coarse, top: {3: fine, 4: coarse}, "returns 2 values"),
        (lambda fine, coarse, top: (), "returns 0 values"),
    ],
)
def test_other_structures_are_refused(form, found):
    with pytest.raises(bw.LoweringError, match=f"Pyramid: {found}, expected one tensor, or a dict, tuple or list"):
        bw.export(Pyramid(form), "never.bw", torch.randn(2, 3, 8, 8))
