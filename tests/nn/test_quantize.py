"""Quantize: levels, ties and the gradient."""

import pytest
import torch

from bitwright.nn.quantize import Quantize


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 15])
def test_levels_are_evenly_spaced_and_stay_what_they_are(bits: int) -> None:
    x = torch.linspace(-1.5, 1.5, 200_001)
    y = Quantize(bits)(x)
    levels = y.unique()
    torch.testing.assert_close(levels, torch.linspace(-1, 1, 2**bits), rtol=0, atol=1e-6)
    assert (y - x.clamp(-1, 1)).abs().max() < 1 / (2**bits - 1) + 1e-6
    assert bool((y.diff() >= 0).all())
    assert torch.equal(Quantize(bits)(levels), levels)


def test_a_tie_of_four_bits_goes_where_the_authors_code_takes_it() -> None:
    assert Quantize(4)(torch.tensor([0.0, 0.8])).mul(15).tolist() == pytest.approx([-1, 11])


def test_the_gradient_passes_inside() -> None:
    x = torch.tensor([-1.5, -1.0, -0.999, 0.0, 0.999, 1.0, 1.5], requires_grad=True)
    Quantize(4)(x).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0, 0, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("bits", [0, 16])
def test_numbers_of_bits_that_make_no_sense_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match=f"bits: expected 1 to 15, found {bits}"):
        Quantize(bits)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, while tracing
def test_it_compiles() -> None:
    x = torch.randn(3, 4)
    assert torch.equal(torch.compile(Quantize(4), fullgraph=True, backend="aot_eager")(x), Quantize(4)(x))
