"""Functions by name: the networks of `bitwright.zoo`, the methods of `bitwright.methods`, and anyone's own."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from torch import nn

from bitwright.errors import RecipeError
from bitwright.nn.convert import binarize
from bitwright.train.bayesian import make_bayesian_by
from bitwright.train.config import Recipe
from bitwright.train.detection import make_detector
from bitwright.train.init import INITIALIZERS
from bitwright.train.optional_tables import Choice
from bitwright.train.pretext import take_head
from bitwright.train.pruning import prune_by

FLOAT = "none"


def find_function(name: str, catalogue: str) -> Callable[..., Any]:
    """Look a function up.

    Args:
        name: A name in the catalogue's `__all__`, or "package.module:function".
        catalogue: Module of the catalogue, "bitwright.zoo" or "bitwright.methods".

    Raises:
        RecipeError: If there is no such function.
    """
    home, colon, attribute = name.partition(":") if ":" in name else (catalogue, "", name)
    try:
        module = import_module(home)
    except ModuleNotFoundError as error:
        raise RecipeError(f"{name!r}: {error}; write package.module:function, importable from here") from None
    known = list(vars(module)) if colon else list(module.__all__)
    function = getattr(module, attribute, None)
    if attribute not in known or not callable(function):
        near = get_close_matches(attribute, known, n=1)
        hint = (
            f"did you mean {near[0]!r}?" if near else f"{home} has {', '.join(module.__all__) if not colon else known}"
        )
        raise RecipeError(f"{home} has no function {attribute!r}; {hint}")
    return function


def check_options(function: Callable[..., Any], choice: Choice, table: str) -> None:
    """Check that the options of a choice are keyword arguments of its function.

    Args:
        function: The function.
        choice: Name and options.
        table: The recipe's table, for messages.

    Raises:
        RecipeError: If one is unknown, or a required one is missing.
    """
    signature = inspect.signature(function)
    try:
        signature.bind(**choice.options)
    except TypeError as error:
        known = list(signature.parameters)
        unknown = [key for key in choice.options if key not in known]
        near = get_close_matches(unknown[0], known, n=1) if unknown else []
        hint = f"did you mean {table}.{near[0]}?" if near else f"{choice.name} takes {', '.join(known) or 'none'}"
        raise RecipeError(f"[{table}] {choice.name}: {error}; {hint}") from None


def accepted_options(choice: Choice, values: dict[str, Any]) -> dict[str, Any]:
    """Those of the values that a network's function takes.

    Args:
        choice: The network.
        values: Candidates, such as `num_classes`.
    """
    parameters = inspect.signature(find_function(choice.name, "bitwright.zoo")).parameters
    anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return {key: value for key, value in values.items() if anything or key in parameters}


def _call(choice: Choice, catalogue: str, table: str) -> Any:
    function = find_function(choice.name, catalogue)
    check_options(function, choice, table)
    try:
        return function(**choice.options)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"[{table}] {choice.name}: {error}") from error


def make_network(choice: Choice, table: str = "network") -> nn.Module:
    """Call the function of a float network.

    Args:
        choice: Name and options.
        table: The recipe's table, for messages.

    Raises:
        RecipeError: If the name or an option is unknown, or the function returns no module.
    """
    net = _call(choice, "bitwright.zoo", table)
    if not isinstance(net, nn.Module):
        raise RecipeError(f"[{table}] {choice.name} must return an nn.Module, found {type(net).__name__}")
    return net


def build_network(recipe: Recipe) -> nn.Module:
    """Make the recipe's network, with fresh weights, binarized, pruned and Bayesian as the recipe wants it.

    Args:
        recipe: A recipe, resolved.

    Raises:
        RecipeError: If a name or an option is unknown.
    """
    net = make_network(recipe.network)
    take_head(recipe.pretext, net)
    INITIALIZERS[recipe.init](net)
    net = make_detector(recipe.detection, net, len(recipe.data.mean))
    return make_bayesian_by(recipe.bayesian, prune_by(recipe.pruning, _binarized(recipe, net), recipe.pretext))


def _binarized(recipe: Recipe, net: nn.Module) -> nn.Module:
    if recipe.method.name == FLOAT:
        return net
    method = _call(recipe.method, "bitwright.methods", "method")
    if recipe.binary == "activations":
        method = replace(method, weight=lambda layer: nn.Identity())
    elif recipe.binary == "weights":
        method = replace(method, activation=lambda layer: nn.Identity(), gate=None)
    return binarize(net, method)
