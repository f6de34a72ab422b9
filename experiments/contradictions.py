"""What an experiment's parts ask of each other: told before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiments.config import Experiment


def contradictions(experiment: Experiment) -> Iterator[str]:
    """Each way in which the parts of an experiment do not fit together, in words."""
    yield from _of_sources(experiment)
    yield from _of_pairs(experiment)
    yield from _of_drift(experiment)
    yield from _of_stages(experiment)
    yield from _of_truth(experiment)


def of_phantom(experiment: Experiment) -> Iterator[str]:
    """What a phantom that is not drawn yet does not go together with: it brings all that an experiment reads."""
    e = experiment
    if not e.phantom:
        return
    if e.sources or e.cells or e.truth_labels or e.truth_follows_cells:
        yield "phantom brings its own sources and truth: leave out sources, cells, truth_labels, truth_follows_cells"
    unknown = [name for name in e.phantom.names if name not in e.phantom.config.instruments]
    if unknown:
        yield f"phantom has no instrument {unknown[0]!r}, only {sorted(e.phantom.config.instruments)}"
    if len(set(e.phantom.names)) < len(e.phantom.names):
        yield "phantom.sources names an instrument twice"


def _of_sources(e: Experiment) -> Iterator[str]:
    if not e.names and e.cells is None:
        yield "needs at least one entry in sources, or cells, or a phantom"
    if e.reference is not None and e.reference not in e.names:
        yield f"reference {e.reference!r} is not among the sources {sorted(e.names)}"
    if e.sources and e.reference in (None, *e.sources) and e.sources[e.fixed].displaced:
        yield f"the reference {e.fixed!r} cannot be displaced; displace another source"
    if any(source.is_movie and source.displaced for source in e.sources.values()):
        yield "displaced moves a single volume, not a movie"


def _of_pairs(e: Experiment) -> Iterator[str]:
    if e.pairs and not e.register_:
        yield "pairs needs register"
    known = [{pair.fixed, pair.moving} for pair in e.pairs]
    unknown = sorted({name for pair in known for name in pair if name not in e.names})
    if unknown:
        yield f"pairs names {unknown[0]!r}, which is not among the sources {sorted(e.names)}"
    if any(len(pair) == 1 for pair in known):
        yield "pairs registers a source to itself"
    if len({(pair.fixed, pair.moving) for pair in e.pairs}) < len(e.pairs):
        yield "pairs holds a pair twice"
    named = {name for pair in known for name in pair}
    joined = {e.fixed, *(name for name in e.names if name not in named)} if e.names else set()
    for _ in known:
        joined |= {name for pair in known if pair & joined for name in pair}
    apart = sorted(named & set(e.names) - joined)
    if apart:
        yield f"pairs leads by no chain from the reference {e.fixed!r} to {apart[0]!r}"


def _of_drift(e: Experiment) -> Iterator[str]:
    if e.drift and e.sources and not any(source.is_movie for source in e.sources.values()):
        yield "drift needs a source that is a movie"


def _of_stages(e: Experiment) -> Iterator[str]:
    if e.register_ and len(e.names) < 2:
        yield "register needs at least two sources"
    if e.fuse and len(e.names) < 2:
        yield "fuse needs at least two sources"
    if e.segment_on not in (None, "fused", *e.names):
        yield f"segment_on {e.segment_on!r} is neither 'fused' nor among {sorted(e.names)}"
    if e.segment_on == "fused" and not e.fuse:
        yield "segment_on is 'fused', but there is no fuse stage"
    if e.segment and not e.names:
        yield "segment needs a source"
    if e.cells and e.segment:
        yield "cells come either from a table (cells) or from segment, not from both"
    if e.link and not (e.segment or e.cells):
        yield "link needs segment or cells"


def _of_truth(e: Experiment) -> Iterator[str]:
    if e.truth_follows_cells and not e.truth_labels:
        yield "truth_follows_cells needs truth_labels"
    if e.truth_labels and not e.segment:
        yield "truth_labels needs segment"
