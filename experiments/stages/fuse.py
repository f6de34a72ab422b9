"""Stage ``fuse``: the registered sources become one volume."""

from __future__ import annotations

from experiments.config import Experiment, settings
from experiments.run_folder import RunFolder, write_json
from experiments.sources import open_image
from experiments.stage import Stage
from experiments.stages import register
from volumes.io import write
from volumes.timelapse import TimeLapse
from volumes.volume import Volume

NAME = "fuse"
FUSED = "fused.ome.zarr"
FACTS = "fusion.json"


def fuse_stage(experiment: Experiment, folder: RunFolder) -> Stage:
    """Fuses all sources of the experiment; where none was registered they must share a grid already."""
    return Stage(
        NAME,
        settings(experiment, "sources", "reference", "fuse"),
        (FUSED, FACTS),
        lambda: _fuse(experiment, folder),
        inputs={name: source.file for name, source in experiment.sources.items()},
        after=(register.NAME,) if experiment.register_ else (),
        code=("fusion", "phantom"),
    )


def _fuse(experiment: Experiment, folder: RunFolder) -> None:
    from fusion import fuse

    movies = any(source.is_movie for source in experiment.sources.values())
    if movies:
        images = [open_image(name, source) for name, source in experiment.sources.items()]
        fused: Volume | TimeLapse = fuse([i for i in images if isinstance(i, TimeLapse)], experiment.fuse or "lpf")
        facts: dict[str, object] = {}
    else:
        volumes = list(register.aligned(experiment, folder).values())
        fused = fuse(volumes, experiment.fuse or "lpf")
        facts = _facts(experiment, volumes, fused)
    write(fused, folder.path / FUSED)
    write_json(folder.path / FACTS, facts)


def _facts(experiment: Experiment, sources: list[Volume], fused: Volume) -> dict[str, object]:
    """The share of each source's strong edges that survives, beside the pixelwise mean and maximum, and the scales."""
    from fusion.lpf import LPFConfig
    from fusion.metrics import edges_kept

    config = experiment.fuse or LPFConfig()
    kept = {
        config.kind: edges_kept(fused, sources, config.match),
        "mean": edges_kept("mean", sources, config.match),
        "max": edges_kept("max", sources, config.match),
    }
    scales = zip(experiment.sources, config.build().scales(sources), strict=True)
    return {
        "edges_kept": kept,
        "scales": [f"fused = {scale.gain:.4g} × {name} {scale.offset:+.4g}" for name, scale in scales],
    }
