from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import TINY, tiny_recipe

from bitwright.errors import RecipeError
from bitwright.train import parse_recipe, read_recipe, write_recipe
from bitwright.train.catalogue import build_network
from bitwright.train.config import Data
from bitwright.train.optional_tables import Choice


def test_values_and_defaults():
    recipe = tiny_recipe()
    assert recipe.network == Choice("vgg_small", {"width": 4})
    assert recipe.optimizer.name == "adam" and recipe.optimizer.lr == 1e-3 and recipe.optimizer.weight_decay == 0
    assert recipe.published is None and recipe.keep == "best"


def test_overrides_come_last():
    recipe = tiny_recipe(
        "optimizer.lr=1", "schedule.milestones=[2, 3]", "method.sparsity=0.5", "title=plain words", "seed=7"
    )
    assert recipe.optimizer.lr == 1.0 and isinstance(recipe.optimizer.lr, float)
    assert recipe.schedule.milestones == (2, 3) and recipe.method.options["sparsity"] == 0.5
    assert recipe.title == "plain words" and recipe.seed == 7


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimiser.lr=1", "unknown key optimiser; did you mean optimizer?"),
        ("optimizer.learning=1", "unknown key optimizer.learning; known here: name, lr"),
        ("optimizer.momentun=0.5", "did you mean optimizer.momentum?"),
        ("optimizer.name=adan", "optimizer.name must be one of adam, adamw, sgd, found 'adan'; did you mean 'adam'?"),
        ("optimizer.lr=fast", "optimizer.lr must be a number, found 'fast'"),
        ("optimizer.lr=true", "optimizer.lr must be a number, found True"),
        ("epochs=2.5", "epochs must be a whole number, found 2.5"),
        ("epochs=0", "epochs must be 1 or more, found 0"),
        ("augmentation.flip=1", "augmentation.flip must be true or false"),
        ("schedule.milestones=3", "schedule.milestones must be a list"),
        ("schedule.milestones=[1.5]", r"schedule.milestones[0] must be a whole number"),
        ("optimizer=3", "optimizer must be a table"),
        ("published=86.5", "published must be an accuracy between 0 and 1, found 86.5"),
        ("published=0.865", "paper must be the source of what is published, found ''"),
        ("data.std=[0.0]", "data.std must be positive"),
        ("data.mean=[0.5]", "as many numbers as data.std"),
        ("schedule.warmup=4", "schedule.warmup must be fewer than epochs"),
        ("optimizer.groups=[{lr=1}]", "the key optimizer.groups[0].names is missing"),
        ('optimizer.groups=[{names=["*"], lr=-1}]', "optimizer.groups.lr must be 0 or more, found -1.0"),
        ("loss={name='squared_hinge', label_smoothing=0.1}", "loss.label_smoothing must be 0 with squared_hinge"),
        ("title.x=3", "title holds a value, not a table"),
        ("a.b.c=3", "expected key=value or table.key=value"),
        ("epochs", "expected key=value"),
    ],
)
def test_mistakes_are_named(override, message):
    with pytest.raises(RecipeError) as caught:
        tiny_recipe(override)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TINY.replace("epochs = 4", ""), "the key epochs is missing"),
        (TINY.replace("[network]\nname", "[net]\nname"), "unknown key net; did you mean network?"),
        (TINY.replace('[data]\nsource = "npz:unused.npz"', ""), "the table [data] is missing"),
        ("title = ", "not valid TOML"),
    ],
)
def test_incomplete_files_are_named(text, message):
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, where="some.toml")
    assert str(caught.value).startswith("some.toml: ") and message in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"nothing\.toml: cannot be read"):
        read_recipe(tmp_path / "nothing.toml")


def test_a_base_gives_what_a_file_lacks_but_for_its_own_words(tmp_path):
    (tmp_path / "first.toml").write_text(f'published = 0.5\nnote = "x"\npaper = "p"\n{TINY}')
    (tmp_path / "inner").mkdir()
    middle = 'base = "../first.toml"\ntitle = "middle"\nepochs = 9\n[optimizer]\nlr = 0.5\n[method]\nname = "bnn"\n'
    (tmp_path / "inner" / "middle.toml").write_text(middle)
    (tmp_path / "inner" / "last.toml").write_text('base = "middle.toml"\ntitle = "last"\n[optimizer]\nname = "sgd"\n')
    recipe = read_recipe(tmp_path / "inner" / "last.toml", overrides=("batch=4",))
    assert (recipe.title, recipe.paper, recipe.published, recipe.note) == ("last", "p", None, "")
    assert (recipe.epochs, recipe.batch, recipe.optimizer.name, recipe.optimizer.lr) == (9, 4, "sgd", 0.5)
    assert recipe.method == Choice("bnn") and recipe.network == tiny_recipe().network
    assert parse_recipe(write_recipe(recipe)) == recipe


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ('"recipe.toml"', "recipe.toml: its base leads back to"),
        ('"absent.toml"', "absent.toml: cannot be read as a recipe"),
        ("3", "base must be the name of a file, found 3"),
    ],
)
def test_a_wrong_base_is_named(tmp_path, base, message):
    (tmp_path / "recipe.toml").write_text(f"base = {base}\n{TINY}")
    with pytest.raises(RecipeError, match=message):
        read_recipe(tmp_path / "recipe.toml")


@given(
    title=st.text(st.characters(exclude_categories=["Cs"])),
    published=st.none() | st.floats(0, 1, exclude_min=True, exclude_max=True),
    mean=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    option=st.one_of(
        st.booleans(), st.integers(-(2**60), 2**60), st.text("a\"\\\n\x7f'é"), st.lists(st.integers(0, 9))
    ),
)
def test_what_is_written_reads_back_equal(title, published, mean, option):
    data = Data("npz:x", mean=tuple(mean), std=(0.5,) * len(mean))
    method = Choice("sbnn", {"option": option})
    recipe = replace(tiny_recipe(), title=title, paper="its source", published=published, data=data, method=method)
    assert parse_recipe(write_recipe(recipe)) == recipe


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("network.name=resnet21", "bitwright.zoo has no function 'resnet21'; did you mean 'resnet20'?"),
        ("method.name=sbn", "did you mean 'sbnn'?"),
        ("network.wide=3", "did you mean network.width?"),
        ("method.sparsity=1.5", "[method] sbnn: sparsity"),
        ("network.name=no_such_package:net", "No module named 'no_such_package'"),
        ("network.name=math:sqrtt", "math has no function 'sqrtt'; did you mean 'sqrt'?"),
        (
            "network.name=bitwright.data:load_dataset",
            "[network] bitwright.data:load_dataset: missing a required argument",
        ),
    ],
)
def test_names_and_options_are_checked(override, message):
    with pytest.raises(RecipeError) as caught:
        build_network(tiny_recipe(override))
    assert message in str(caught.value)


def test_the_method_none_keeps_the_float_network():
    recipe = tiny_recipe("method.name=none")
    kinds = {type(module).__name__ for module in build_network(recipe).modules()}
    assert "Conv2d" in kinds and "BinaryConv2d" not in kinds
