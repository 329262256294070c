"""Frozen dataclasses from TOML and back, with messages that name the key and the nearest one that exists.

A field of a dataclass type is a table. A dataclass with a field `options` takes every key it has no field for, so
that keyword arguments of a function read like settings.
"""

import json
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches
from functools import reduce
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from bitwright.errors import RecipeError

T = TypeVar("T")
_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}


def parse(text: str) -> dict[str, Any]:
    """Read TOML text.

    Args:
        text: The text.

    Raises:
        RecipeError: If it is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"not valid TOML: {error}") from None


def read_tables(path: Path, own: Collection[str]) -> dict[str, Any]:
    """Read a TOML file, laid over the file that its key `base` names, if it has one.

    Args:
        path: The file; `base` is relative to it, and may have a base itself.
        own: Keys that are not taken from there.

    Raises:
        RecipeError: If a file cannot be read or is not TOML, or its bases lead back to it.
    """
    files, layers = [path], []
    while True:
        try:
            layer = parse(files[-1].read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{files[-1]}: cannot be read as a recipe: {error}") from error
        except RecipeError as error:
            raise RecipeError(f"{files[-1]}: {error}") from None
        base = layer.pop("base", None)
        layers.append(layer if not layers else {key: value for key, value in layer.items() if key not in own})
        if base is None:
            break
        if not isinstance(base, str):
            raise RecipeError(f"{files[-1]}: base must be the name of a file, found {base!r}")
        files.append(files[-1].parent / base)
        if len(files) > len({file.resolve() for file in files}):
            raise RecipeError(f"{path}: its base leads back to {files[-1]}")
    return reduce(merge, reversed(layers))


def apply_overrides(tables: Mapping[str, Any], overrides: tuple[str, ...]) -> dict[str, Any]:
    """Tables with some values replaced.

    Args:
        tables: As `parse` returns them; left as they are.
        overrides: Assignments, "key=value" or "table.key=value"; a value that is not TOML is taken as a string.

    Raises:
        RecipeError: If an assignment has no "=", or goes through a key that holds no table.
    """
    result = {key: dict(value) if isinstance(value, dict) else value for key, value in tables.items()}
    for override in overrides:
        name, equals, text = override.partition("=")
        *path, key = name.strip().split(".")
        if not equals or not key or len(path) > 1:
            raise RecipeError(f"override {override!r}: expected key=value or table.key=value")
        table = result.setdefault(path[0], {}) if path else result
        if not isinstance(table, dict):
            raise RecipeError(f"override {override!r}: {path[0]} holds a value, not a table")
        table[key] = _parse_value(text.strip())
    return result


def merge(tables: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Tables with others laid over them, key by key; but a table with a `name` replaces one that has a `name` too.

    Args:
        tables: As `parse` returns them; left as they are.
        changes: The same form.
    """
    result = dict(tables)
    for key, value in changes.items():
        before = result.get(key)
        if isinstance(value, dict) and isinstance(before, dict) and not ("name" in value and "name" in before):
            result[key] = {**before, **value}
        else:
            result[key] = value
    return result


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def build(kind: type[T], table: Mapping[str, Any], prefix: str = "") -> T:
    """Make a dataclass from a table, every value checked against the field's type.

    Args:
        kind: The dataclass.
        table: Its keys and values.
        prefix: What stands before its keys in messages, such as "optimizer.".

    Raises:
        RecipeError: If a key is unknown or missing, or a value has another type.
    """
    hints = get_type_hints(kind)
    known: dict[str, Field[Any]] = {item.name: item for item in fields(kind)}  # pyright: ignore[reportArgumentType]
    open_ended = known.pop("options", None) is not None
    unknown = [key for key in table if key not in known]
    if unknown and not open_ended:
        near = get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {prefix}{near[0]}?" if near else f"known here: {', '.join(known)}"
        raise RecipeError(f"unknown key {prefix}{unknown[0]}; {hint}")
    values: dict[str, Any] = {"options": {key: table[key] for key in unknown}} if open_ended else {}
    for name, item in known.items():
        if name in table:
            values[name] = _convert(hints[name], table[name], prefix + name)
        elif is_dataclass(hints[name]) and item.default is MISSING:
            raise RecipeError(f"the table [{prefix}{name}] is missing")
        elif item.default is MISSING and item.default_factory is MISSING:
            raise RecipeError(f"the key {prefix}{name} is missing")
    return kind(**values)


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise RecipeError(f"{where} must be a table, [{where}], found {value!r}")
        return build(hint, value, f"{where}.")  # pyright: ignore[reportArgumentType]
    if origin is Literal:
        if value not in arguments:
            near = get_close_matches(str(value), arguments, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise RecipeError(f"{where} must be one of {', '.join(arguments)}, found {value!r}{hint}")
        return value
    if origin is UnionType:
        return _convert(next(kind for kind in arguments if kind is not NoneType), value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise RecipeError(f"{where} must be a table, found {value!r}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise RecipeError(f"{where} must be a list, found {value!r}")
        return tuple(_convert(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:  # so that true is no number
        raise RecipeError(f"{where} must be {_TYPE_NAMES[hint]}, found {value!r}")
    return value


def write(value: Any) -> str:
    """TOML text of a dataclass: its plain values first, then a table for each of its dataclasses. None is left out.

    Args:
        value: The dataclass.
    """
    own = [(item.name, getattr(value, item.name)) for item in fields(value)]
    lines = [f"{name} = {_spell(content)}" for name, content in own if _is_plain(content)]
    for name, content in own:
        if is_dataclass(content):
            lines += ["", f"[{name}]", *_write_table(content)]
    return "\n".join(lines) + "\n"


def _is_plain(value: Any) -> bool:
    return value is not None and not is_dataclass(value)


def _write_table(value: Any) -> list[str]:
    return [f"{name} = {_spell(content)}" for name, content in _entries(value).items() if content is not None]


def _entries(value: Any) -> dict[str, Any]:
    """The keys of a dataclass's table."""
    own = {item.name: getattr(value, item.name) for item in fields(value)}
    return own | own.pop("options", {})


def _spell(value: Any) -> str:
    if isinstance(value, str):
        # A JSON string is a TOML basic string but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_spell, value))}]"
    if isinstance(value, int | float):
        return repr(value)
    if is_dataclass(value):
        value = _entries(value)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_spell(content)}' for key, content in value.items() if content is not None)}}}"
    raise RecipeError(f"a recipe holds strings, numbers, true, false, lists and tables of them, found {value!r}")
