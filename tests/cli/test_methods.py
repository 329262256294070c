import json

import pytest

from bitwright import methods
from bitwright.methods.about import describe_method


def test_the_list_names_every_method_with_its_year(bw):
    result = bw("methods")
    assert result.returncode == 0
    for name in (*methods.__all__, *methods.ON_TRAINED):
        about = describe_method(getattr(methods, name))
        assert any(name in line and str(about.year) in line for line in result.stdout.splitlines())


def test_one_method_shows_settings_derivative_and_what_was_checked(bw):
    result = bw("methods", "sbnn")
    assert result.returncode == 0
    for words in ("Checked:", "Deployed:", "ECML PKDD 2023", "sparsity:", "derivative, progress 0.5"):
        assert words in result.stdout


def test_what_takes_a_trained_network_has_no_derivative(bw):
    result = bw("methods", "stf_bnn")
    assert result.returncode == 0
    assert "bw.methods.stf_bnn(" in result.stdout and "Reference:" in result.stdout
    assert "derivative" not in result.stdout


def test_json_holds_the_curves(bw):
    about = json.loads(bw("methods", "bi_real_net", "--json").stdout)
    (curve,) = about["activation"]
    middle = next(i for i, value in enumerate(curve["values"]) if abs(value - 0.5) < 1e-5)
    assert curve["forward"][middle] == 1 and curve["slope"][middle] == pytest.approx(1)
    lists = json.loads(bw("methods", "--json").stdout)
    assert (len(lists["methods"]), len(lists["on_trained"])) == (len(methods.__all__), len(methods.ON_TRAINED))


def test_an_unknown_name_is_one_line_with_the_nearest(bw):
    result = bw("methods", "sbn")
    assert result.returncode == 2
    assert result.stderr == "bw: error: there is no method 'sbn'; did you mean 'sbnn'?\n"
