"""From a strict YAML file to a config: overrides worked in, and what is wrong told with its file, key and remedy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from experiments import strict_yaml
from volumes.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


def validated(kind: type[Model], values: Mapping[str, Any], path: Path) -> Model:
    """The config that values from a file stand for.

    Raises
    ------
    ConfigError : a key is unknown, mistyped, of the wrong type or out of range.
    """
    try:
        return kind.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        raise _explained(path, error, kind) from error


def override(values: dict[str, Any], changes: Mapping[str, str]) -> None:
    """Put values given as text in the place that their dotted keys name, e.g. ``{"fuse.base": "max"}``.

    Raises
    ------
    ConfigError : a key leads below a value that has no keys.
    """
    for dotted, text in changes.items():
        *path, last = dotted.split(".")
        node = values
        for key in path:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise ConfigError("has no keys below it", field=dotted, remedy="Check the --set key")
        node[last] = strict_yaml.scalar(text)


def placed(config: Model, folder: Path) -> Model:
    """The config with each relative path in it, and in its parts, counted from a folder."""
    fields = type(config).model_fields
    return config.model_copy(update={name: _placed(getattr(config, name), folder) for name in fields})


def paths(config: BaseModel) -> dict[str, Path]:
    """The paths in a config and in its parts, by dotted key."""
    return dict(_paths({name: getattr(config, name) for name in type(config).model_fields}, ""))


def _placed(value: object, folder: Path) -> object:
    if isinstance(value, BaseModel):
        return placed(value, folder)
    if isinstance(value, dict):
        return {key: _placed(part, folder) for key, part in value.items()}
    if isinstance(value, tuple):
        return tuple(_placed(part, folder) for part in value)
    return folder / value.expanduser() if isinstance(value, Path) else value


def _paths(value: object, key: str) -> Iterator[tuple[str, Path]]:
    if isinstance(value, BaseModel):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    elif isinstance(value, tuple):
        value = {str(i): part for i, part in enumerate(value)}
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _paths(part, f"{key}.{name}" if key else str(name))
    elif isinstance(value, Path):
        yield key, value


def _explained(path: Path, error: ValidationError, kind: type[BaseModel]) -> ConfigError:
    first, *others = error.errors(include_url=False)
    where = ".".join(str(part) for part in first["loc"] if not str(part).startswith("function-"))
    remedy = f"{len(others)} more problems follow" if others else None
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        known = [name for name in _known_keys(kind) if name != key]
        near = get_close_matches(key, known, n=1, cutoff=0.6)
        remedy = f"Did you mean {near[0]!r}?" if near else "Remove it, or check docs/config.md"
    value = None if isinstance(first["input"], dict) else first["input"]
    return ConfigError(_plain(first["msg"]), file=path, field=where or "the whole", value=value, remedy=remedy)


def _plain(message: str) -> str:
    text = message.removeprefix("Value error, ")
    return {"Extra inputs are not permitted": "no such key", "Field required": "is missing"}.get(text, text)


def _known_keys(kind: type[BaseModel]) -> list[str]:
    schema = kind.model_json_schema(by_alias=True)
    keys = set(schema.get("properties", {}))
    for definition in schema.get("$defs", {}).values():
        keys |= set(definition.get("properties", {}))
    return sorted(keys)
