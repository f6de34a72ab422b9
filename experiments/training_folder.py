"""The folder of one training: whose it is, and what lies where.

``experiment.yaml`` (resolved), ``checkpoints/``, ``log.jsonl``, ``tensorboard/``, ``best.safetensors``, and, when it is
finished, ``weights.safetensors`` and ``model.json``, which is written last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import strict_yaml
from experiments.loop import RUNNING
from experiments.run_folder import RunFolder, read_json
from volumes.atomic import remove_leftovers, write_text
from volumes.errors import OutputError


@dataclass(frozen=True)
class TrainingFolder:
    """Paths inside ``results/<name>/``; nothing is created before it is asked for."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / "experiment.yaml"

    @property
    def checkpoints(self) -> Path:
        """What a killed training goes on from."""
        return self.path / "checkpoints"

    @property
    def log(self) -> Path:
        """One JSON object a line: steps, and validations."""
        return self.path / "log.jsonl"

    @property
    def tensorboard(self) -> Path:
        """The same as curves, and the validations' pictures."""
        return self.path / "tensorboard"

    @property
    def best(self) -> Path:
        """The running mean of the weights at the step whose validation was best."""
        return self.path / "best.safetensors"

    @property
    def weights(self) -> Path:
        """The running mean of the weights after the last step: what ships."""
        return self.path / "weights.safetensors"

    @property
    def model(self) -> Path:
        """What is known of the finished training; written last."""
        return self.path / "model.json"

    def finished(self) -> dict[str, Any]:
        """What ``model.json`` says; empty while the training is not finished."""
        return read_json(self.model)

    @contextmanager
    def held(self, config: Mapping[str, Any]) -> Iterator[None]:
        """Hold the folder for a training of this config, which is written down in it.

        Raises
        ------
        OutputError : another training holds the folder; it is another config's, or holds what no training wrote.
        """
        with RunFolder(self.path).locked():
            self._require_own(config)
            if not self.config.exists():
                write_text(self.config, _yaml(config))
            remove_leftovers(self.checkpoints)
            yield

    def _require_own(self, config: Mapping[str, Any]) -> None:
        if not self.config.exists():
            return
        found, asked = _flat(strict_yaml.load(self.config)), _flat(json.loads(json.dumps(config)))
        off = [key for key in sorted(found | asked) if found.get(key) != asked.get(key) and _counts(key)]
        if off:
            pairs = ", ".join(f"{key}: {found.get(key)!r} there, {asked.get(key)!r} asked" for key in off)
            raise OutputError(
                f"holds a training of another config ({pairs})",
                file=self.path,
                field=", ".join(off),
                remedy="Choose another folder with --out, or the settings that it was begun with",
            )


def owner(config: Mapping[str, Any]) -> str:
    """A SHA-256 of what decides the result: the same for all runs of one training, and for no other."""
    decides = {key: value for key, value in _flat(json.loads(json.dumps(config))).items() if _counts(key)}
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _counts(key: str) -> bool:
    """Whether a key decides the result: notes, and how a training is run, do not."""
    first, _, rest = key.partition(".")
    return not (first == "title" or (first == "loop" and rest in RUNNING))


def _flat(value: object, key: str = "") -> dict[str, object]:
    if isinstance(value, dict):
        inside = (_flat(part, f"{key}.{name}" if key else str(name)) for name, part in value.items())
        return {name: part for found in inside for name, part in found.items()}
    return {key: value}


def _yaml(config: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(json.loads(json.dumps(config)), sort_keys=False, allow_unicode=True)
