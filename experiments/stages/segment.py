"""Stage ``segment``: the cells of an image or a movie as labels."""

from __future__ import annotations

from experiments.config import Experiment, settings
from experiments.drifts import steady_image
from experiments.run_folder import RunFolder
from experiments.stage import Stage
from experiments.stages import fuse, register
from volumes.io import read, read_timelapse, write
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

NAME = "segment"
LABELS = "labels.ome.zarr"


def segment_stage(experiment: Experiment, folder: RunFolder) -> Stage:
    """Segments the fused volume or one source, as the config says."""
    on_fused = experiment.segmented == "fused"
    sources = experiment.sources if on_fused else {experiment.segmented: experiment.sources[experiment.segmented]}
    return Stage(
        NAME,
        settings(experiment, "segment", "segment_on", "sources", "reference"),
        (LABELS,),
        lambda: _segment(experiment, folder),
        inputs={name: source.file for name, source in sources.items()},
        after=(fuse.NAME,) if on_fused else (register.NAME,) if experiment.drift else (),
        code=("tracking3d", "phantom"),
    )


def segmented_image(experiment: Experiment, folder: RunFolder) -> Volume | TimeLapse:
    """What the segmenter works on; a movie whose drift was measured is held still."""
    name = experiment.segmented
    return fuse.fused(experiment, folder) if name == "fused" else steady_image(experiment, folder, name)


def labels(experiment: Experiment, folder: RunFolder) -> Volume | TimeLapse:
    """The labels that this stage wrote."""
    movie = isinstance(segmented_image(experiment, folder), TimeLapse)
    opener = read_timelapse if movie else read
    return opener(folder.path / LABELS)


def _segment(experiment: Experiment, folder: RunFolder) -> None:
    import tracking3d

    image = segmented_image(experiment, folder)
    write(tracking3d.segment(image, experiment.segment or "watershed"), folder.path / LABELS)
