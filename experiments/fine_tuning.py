"""A training that goes on from finished weights, on a few labelled volumes in a folder."""

from __future__ import annotations

from pathlib import Path

from experiments.tasks.cell_labelled import LabelledConfig, typical_diameter_um
from experiments.tasks.segmenter import SegmenterTaskConfig
from experiments.training_config import TrainingExperiment
from volumes.errors import ConfigError
from volumes.io import read

LABELS, IMAGE = "_labels", "_image"
"""``few/a_labels.tif`` belongs to ``few/a_image.tif`` or ``few/a.tif``, of any format."""


def fine_tuned(
    config: TrainingExperiment, weights: Path | None, freeze: str | None, labels: Path | None
) -> TrainingExperiment:
    """The training with some of its task's settings replaced; what is None stays.

    Parameters
    ----------
    config : of a segmenter.
    weights : to begin from; the name ``shipped`` means those of the package.
    freeze : the part that stays as it is, ``encoder``.
    labels : a folder of images and their labels.

    Raises
    ------
    ConfigError : a task that has no such settings; a part that cannot be frozen; a folder without a pair.
    """
    if weights is None and freeze is None and labels is None:
        return config
    task = config.task
    if not isinstance(task, SegmenterTaskConfig):
        remedy = "Give a segmenter's config, or leave --from, --freeze and --labels out"
        raise ConfigError("cannot be fine-tuned this way", field="task.kind", value=task.kind, remedy=remedy)
    if freeze not in (None, "encoder"):
        raise ConfigError("is no part that can be frozen", field="--freeze", value=freeze, remedy="Known: encoder")
    changes: dict[str, object] = {}
    if weights is not None:
        changes["weights"] = "shipped" if str(weights) == "shipped" else weights.absolute()
    if freeze is not None:
        changes["freeze"] = freeze
    if labels is not None:
        changes["labelled"] = (*task.labelled, *labelled_in(labels))
    return config.model_copy(update={"task": task.model_copy(update=changes)})


def labelled_in(folder: Path) -> tuple[LabelledConfig, ...]:
    """The pairs of images and labels in a folder, by name.

    Raises
    ------
    ConfigError : no folder, no labels in it, or labels without exactly one image.
    """
    if not folder.is_dir():
        raise ConfigError("is no folder", field="--labels", value=str(folder))
    files = {_stem(path): path for path in sorted(folder.absolute().iterdir()) if not path.name.startswith(".")}
    pairs = [
        LabelledConfig(image=_image(files, stem.removesuffix(LABELS), folder), labels=path)
        for stem, path in files.items()
        if stem.endswith(LABELS)
    ]
    if not pairs:
        remedy = f"Name them NAME{IMAGE}.tif and NAME{LABELS}.tif, or of another format"
        raise ConfigError("holds no labels", field="--labels", value=str(folder), remedy=remedy)
    # Crops are of one kind of cell, and each by itself may hold no whole one.
    diameter = typical_diameter_um([read(pair.labels, modality="labels") for pair in pairs])
    return tuple(pair.model_copy(update={"diameter_um": diameter}) for pair in pairs)


def _image(files: dict[str, Path], name: str, folder: Path) -> Path:
    found = [files[stem] for stem in (name, f"{name}{IMAGE}") if stem in files]
    if len(found) != 1:
        problem = f"{name}{LABELS} has {len(found)} images"
        remedy = f"Put exactly one beside it: {name}{IMAGE}.tif, or of another format"
        raise ConfigError(problem, field="--labels", value=str(folder), remedy=remedy)
    return found[0]


def _stem(path: Path) -> str:
    """The name up to its first dot, of ``a.ome.tif`` as of ``a.nii.gz``."""
    return path.name.split(".")[0]
