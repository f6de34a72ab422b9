"""Stage ``report``: what the other stages left, as figures and tables for people."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from experiments import fingerprint
from experiments.aligned import aligned
from experiments.config import Config, Experiment, dump
from experiments.drifts import steady_image
from experiments.provenance import entries, versions
from experiments.report import overview_picture, write_report
from experiments.report.sections import (
    EvaluationSection,
    FusionSection,
    InputFact,
    Origin,
    RegistrationSection,
    Report,
    RunFacts,
    Section,
    SegmentationSection,
    StageTiming,
    TrackingSection,
    TruthError,
)
from experiments.run_folder import RunFolder, read_json
from experiments.sources import as_movie, origin
from experiments.stage import Stage
from experiments.stages import detect, evaluate, fuse, link, register, segment
from volumes.errors import StageError
from volumes.io import read_transform
from volumes.resample import resample

NAME = "report"
OVERVIEW = "overview.png"
Parts = Sequence[tuple[Experiment, RunFolder]]


def report_stage(
    config: Config, parts: Parts, folder: RunFolder, failure: StageError | None, keys: Sequence[str]
) -> Stage:
    """Writes report.html and its overview; made again only when a stage of any part was.

    Parameters
    ----------
    config : of the whole run.
    parts : each experiment and its folder.
    folder : where the report goes.
    failure : what stopped a part, shown in the summary.
    keys : of all stages that the report shows.
    """
    settings = f"{dump(config)}\n{failure}\n{list(keys)}"
    return Stage(NAME, settings, (folder.report.name, OVERVIEW), lambda: _write(config, parts, folder, failure))


def _write(config: Config, parts: Parts, folder: RunFolder, failure: StageError | None) -> None:
    sections = tuple(section for experiment, where in parts for section in _sections(experiment, where))
    summary = (
        config.summary or "What this run registered, fused, segmented and tracked, with the figures of its quality."
    )
    if failure:
        summary = f"This run stopped: {failure.problem}. What was done before that is shown below."
    report = Report(config.title or config.name, summary, sections, _run_facts(config, parts))
    write_report(report, folder.report)
    overview_picture(report, folder.path / OVERVIEW)


def _sections(experiment: Experiment, folder: RunFolder) -> Iterator[Section]:
    """The figures of the stages that are done; a stage that did not run has none."""
    scores = read_json(folder.scores) if folder.marker(evaluate.NAME).exists() else {}
    if experiment.register_ and folder.marker(register.NAME).exists():
        for name in experiment.moving:
            yield _registration(experiment, folder, name, scores.get("registration", {}).get(name))
    if experiment.fuse and folder.marker(fuse.NAME).exists() and _facts(folder):
        yield _fusion(experiment, folder)
    if experiment.segment and folder.marker(segment.NAME).exists():
        yield _segmentation(experiment, folder, scores.get("segmentation", {}))
    if experiment.link and folder.marker(link.NAME).exists():
        yield _tracking(experiment, folder, scores.get("linking", {}))
    if scores:
        yield from _evaluation(experiment, folder)


def _registration(
    experiment: Experiment, folder: RunFolder, name: str, truth: Mapping[str, Any] | None
) -> RegistrationSection:
    facts = read_json(folder.registration(name))
    fixed, moving = (
        as_movie(steady_image(experiment, folder, one))[frame]
        for one, frame in zip((experiment.fixed, name), facts["frames"], strict=True)
    )
    badge, note = origin(experiment, (experiment.fixed, name))
    return RegistrationSection(
        name=" → ".join(reversed(facts["path"])),
        fixed=fixed,
        before=resample(moving, like=fixed),
        after=resample(moving, like=fixed, transform=read_transform(folder.transform(name))),
        status=facts["status"],
        reasons=tuple(facts["reasons"]),
        quality={**facts["quality"], **_loops(facts)},
        truth_error_um=TruthError(**{f.name: truth[f.name] for f in fields(TruthError)}) if truth else None,
        origin=badge,
        origin_note=note,
    )


def _loops(facts: Mapping[str, Any]) -> dict[str, float]:
    """How far points come back from where they began, for each loop of pairs."""
    return {f"error around {' → '.join(loop['names'])} (µm)": loop["error_um"] for loop in facts["loops"]}


def _facts(folder: RunFolder) -> dict[str, Any]:
    return read_json(folder.path / fuse.FACTS)


def _fusion(experiment: Experiment, folder: RunFolder) -> FusionSection:
    """Of a movie the first frame is shown."""
    names = tuple(experiment.sources)
    badge, note = origin(experiment, names)
    facts = _facts(folder)
    return FusionSection(
        name=" + ".join(names),
        sources=tuple(movie[0] for movie in aligned(experiment, folder).values()),
        source_names=names,
        fused=as_movie(fuse.fused(experiment, folder))[0],
        edges_kept=facts["edges_kept"],
        scales=tuple(facts["scales"]),
        origin=badge,
        origin_note=note,
    )


def _segmentation(experiment: Experiment, folder: RunFolder, scores: Mapping[str, Any]) -> SegmentationSection:
    badge, note = origin(experiment, _shown(experiment))
    cells = detect.detections(experiment, folder)
    frames = len(cells.frames)
    table: dict[str, str | float] = {"cells in all frames": len(cells)}
    if frames > 1:
        table["cells a frame, mean"] = len(cells) / frames
    if len(cells):
        table["median volume, µm³"] = float(sorted(cells.volume_um3)[len(cells) // 2])
    advice = () if len(cells) else ("No cell was found: check the channel, or lower the threshold in segment.",)
    return SegmentationSection(
        name=f"cells of {experiment.segmented}",
        image=segment.segmented_image(experiment, folder),
        labels=segment.labels(experiment, folder),
        cells=len(cells),
        table={**table, **scores},
        advice=advice,
        origin=badge,
        origin_note=note,
    )


def _tracking(experiment: Experiment, folder: RunFolder, scores: Mapping[str, Any]) -> TrackingSection:
    tracks = link.tracks(experiment, folder)
    cells = tracks.detections
    badge, note = _cells_origin(experiment)
    table: dict[str, str | float] = {
        "detections": len(cells),
        "tracks": len(set(tracks.track_id.tolist())),
        "divisions": len(tracks.divisions),
    }
    return TrackingSection(
        name=experiment.title or experiment.name,
        t=cells.t,
        zyx_um=cells.zyx_um,
        parent=tracks.parent,
        track_id=tracks.track_id,
        dt_s=cells.dt_s,
        table={**table, **scores},
        advice=() if len(tracks.edges) else ("No link was made: is the unit of the positions right?",),
        origin=badge,
        origin_note=note,
    )


def _evaluation(experiment: Experiment, folder: RunFolder) -> Iterator[EvaluationSection]:
    tables: dict[str, dict[str, str | float]] = {}
    for row in evaluate.evaluated(experiment, folder):
        rows = tables.setdefault(f"{row.stage.capitalize()}: {row.subject}", {})
        rows[f"{row.measure}, {row.unit}" if row.unit else row.measure] = row.value
    badge, note = origin(experiment, tuple(experiment.sources)) if experiment.sources else _cells_origin(experiment)
    if tables:
        yield EvaluationSection(experiment.title or experiment.name, tables, badge, note)


def _shown(experiment: Experiment) -> tuple[str, ...]:
    return tuple(experiment.sources) if experiment.segmented == "fused" else (experiment.segmented,)


def _cells_origin(experiment: Experiment) -> tuple[Origin, str]:
    cells = experiment.cells
    if cells is None:
        return origin(
            experiment, (experiment.segmented,) if experiment.segmented != "fused" else tuple(experiment.sources)
        )
    if cells.observed is None:
        return "real", cells.note or "detections from a table"
    o = cells.observed
    made = f"{o.drop:.0%} of the cells dropped, {o.spurious:.0%} false ones added, {o.jitter_um} µm jitter"
    return "mixed", f"a real lineage, {made}. {cells.note}".strip()


def _run_facts(config: Config, parts: Parts) -> RunFacts:
    timings = [
        StageTiming(experiment.name, stage, seconds, False)
        for experiment, where in parts
        for stage, seconds in read_json(where.timings).items()
        if stage != NAME
    ]
    inputs = [fact for experiment, _ in parts for fact in _inputs(experiment)]
    finished = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return RunFacts(config.name, dump(config), versions(), tuple(inputs), tuple(timings), finished)


def _inputs(experiment: Experiment) -> Iterator[InputFact]:
    for name, entry in entries(experiment).items():
        digest = fingerprint.of_path(entry.file)
        yield InputFact(f"{experiment.name}: {name}", entry.file.name, digest, entry.attribution)
