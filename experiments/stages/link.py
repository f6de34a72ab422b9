"""Stage ``link``: detections become tracks with divisions."""

from __future__ import annotations

from experiments.config import Experiment, settings
from experiments.run_folder import RunFolder
from experiments.stage import Stage
from experiments.stages import detect, segment
from tracking3d import Tracks
from volumes.timelapse import TimeLapse

NAME = "link"
TRACKS, GEFF, CTC = "tracks.csv", "tracks.geff", "ctc"


def link_stage(experiment: Experiment, folder: RunFolder) -> Stage:
    """Links the detections; a segmented movie is also written as a Cell Tracking Challenge folder."""
    movie = experiment.segment is not None
    return Stage(
        NAME,
        settings(experiment, "link"),
        (TRACKS, GEFF, *((CTC,) if movie else ())),
        lambda: _link(experiment, folder),
        after=(detect.NAME, *((segment.NAME,) if movie else ())),
        code=("tracking3d",),
    )


def tracks(experiment: Experiment, folder: RunFolder) -> Tracks:
    """The tracks that this stage wrote, on the detections of the stage before."""
    from tracking3d.formats.table import read_parents

    cells = detect.detections(experiment, folder)
    return Tracks(cells, read_parents(folder.path / TRACKS, cells))


def _link(experiment: Experiment, folder: RunFolder) -> None:
    import tracking3d
    from tracking3d.formats.ctc import write_ctc

    cells = detect.detections(experiment, folder)
    linked = tracking3d.link(cells, experiment.link or "constraint")
    linked.write(folder.path / TRACKS)
    linked.write(folder.path / GEFF)
    if experiment.segment:
        labels = segment.labels(experiment, folder)
        write_ctc(linked, labels if isinstance(labels, TimeLapse) else TimeLapse.of([labels]), folder.path / CTC)
