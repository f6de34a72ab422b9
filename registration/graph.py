"""Many volumes onto one: pairs registered, ways chosen through them, and what closed loops say of each.

A volume need not be like the reference: it is enough that a chain of pairs leads there (a live stack to its own
reference, that to an atlas). More pairs than a tree needs close loops, and a point that goes round a loop ought to come
back: no likeness tells as much of a registration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from heapq import heappop, heappush

import numpy as np

from registration.quality import Status
from registration.result import Registered, Registrar
from volumes.errors import ConfigError
from volumes.shapes import Mask, Points
from volumes.transform import Affine, Composite, Transform, as_affine
from volumes.volume import Volume

AGREED_VOXELS = 2.0
"""A loop that closes to within this many voxels of its coarsest volume confirms its pairs."""
LONGEST_LOOP = 4
"""Pairs of a loop, at most: a longer one sums up more errors than it tells apart."""
DOUBT = 1e6
"""What a doubtful pair counts more than a good one when a way is chosen: any detour over good ones is better."""
FOREGROUND_POINTS = 2000


@dataclass(frozen=True)
class Task:
    """A pair to register.

    Parameters
    ----------
    fixed, moving : names of the volumes.
    registrar : what registers them.
    start : fixed points → moving points, to begin from.
    fixed_mask, moving_mask : (z, y, x) on each one's own grid, True where it may be looked at.
    images : what is registered, where it is not the two volumes themselves: frames of one moment of two movies.
    """

    fixed: str
    moving: str
    registrar: Registrar
    start: Transform | None = None
    fixed_mask: Mask | None = None
    moving_mask: Mask | None = None
    images: tuple[Volume, Volume] | None = None


@dataclass(frozen=True)
class Link:
    """A pair that was registered: the transform goes from points of ``fixed`` to points of ``moving``."""

    fixed: str
    moving: str
    registered: Registered

    def between(self, start: str) -> Transform:
        """Points of ``start``, one of the two, to points of the other."""
        transform = self.registered.transform
        return transform if start == self.fixed else transform.inverse()

    def other(self, name: str) -> str:
        """The one of the two that is not ``name``."""
        return self.moving if name == self.fixed else self.fixed


@dataclass(frozen=True)
class Loop:
    """A closed way over several pairs.

    Parameters
    ----------
    names : the volumes in the order they are passed; the last leads back to the first.
    links : the pairs, by their place in the graph.
    error_um : how far points of the first come back from where they began, the mean over the specimen.
    bound_um : what it may be.
    """

    names: tuple[str, ...]
    links: tuple[int, ...]
    error_um: float
    bound_um: float

    @property
    def closes(self) -> bool:
        """Whether the error is within its bound."""
        return self.error_um <= self.bound_um


@dataclass(frozen=True)
class Bridged:
    """How one volume lies to the reference.

    Parameters
    ----------
    transform : points of the reference → points of the volume.
    path : the volumes on the way, the reference first.
    status : the worst of its pairs'; DOUBTFUL where a pair on the way lies in loops and none of them closes.
    reasons : what speaks against it, and what to try.
    loop_um : of the pairs on the way that lie in a loop, the error of the best loop of the worst pair; None where no
        pair does.
    """

    transform: Transform
    path: tuple[str, ...]
    status: Status
    reasons: tuple[str, ...]
    loop_um: float | None


@dataclass(frozen=True)
class Graph:
    """Registered pairs between named volumes.

    Parameters
    ----------
    reference : the volume to which all others are brought.
    links : the pairs.
    points_um : points of each volume's specimen (n, 3), its own world.
    voxel_um : each volume's largest voxel edge.
    """

    reference: str
    links: tuple[Link, ...]
    points_um: Mapping[str, Points]
    voxel_um: Mapping[str, float]

    @cached_property
    def loops(self) -> tuple[Loop, ...]:
        """All loops of up to LONGEST_LOOP pairs, each once."""
        found = {frozenset(way): way for way in self._ways_round()}
        return tuple(self._loop(way) for way in found.values())

    def bridged(self, name: str) -> Bridged:
        """The best way from the reference to a volume: over confirmed and good pairs first, then over few.

        Raises
        ------
        ConfigError : no pair leads there.
        """
        way = self._best_way(name)
        links = [self.links[i] for i in way]
        names = self._names_along(way, self.reference)
        parts = [link.between(start) for link, start in zip(links, names, strict=False)]
        reasons = tuple(f"{link.fixed}–{link.moving}: {reason}" for link in links for reason in link.registered.reasons)
        unclosed = [loop for i in way if (loop := self.closest(i)) and not loop.closes]
        status = _worst([link.registered.status for link in links])
        if unclosed and status is Status.GOOD:
            status = Status.DOUBTFUL
        best = [loop.error_um for i in way if (loop := self.closest(i))]
        said = dict.fromkeys(_unclosed(loop) for loop in unclosed)
        return Bridged(_chained(parts), names, status, (*reasons, *said), max(best, default=None))

    def closest(self, link: int) -> Loop | None:
        """Of the loops that a pair lies in, the one that closes best for its bound."""
        mine = [loop for loop in self.loops if link in loop.links]
        return min(mine, key=lambda loop: loop.error_um / loop.bound_um, default=None)

    def _cost(self, link: int) -> float:
        found, closest = self.links[link].registered, self.closest(link)
        doubts = {Status.GOOD: 0, Status.DOUBTFUL: 1, Status.FAILED: 100}[found.status]
        doubts += 0 if closest is None or closest.closes else 1
        error = found.quality.spread_um if closest is None else closest.error_um
        return doubts * DOUBT + 1 + error / max(self.voxel_um.values())

    def _best_way(self, name: str) -> list[int]:
        """Pairs by number along the cheapest way (Dijkstra 1959)."""
        queue: list[tuple[float, str, list[int]]] = [(0.0, self.reference, [])]
        seen: set[str] = set()
        while queue:
            cost, here, way = heappop(queue)
            if here == name:
                return way
            if here in seen:
                continue
            seen.add(here)
            for i, link in enumerate(self.links):
                if here in (link.fixed, link.moving):
                    heappush(queue, (cost + self._cost(i), link.other(here), [*way, i]))
        raise ConfigError(
            f"no pair leads from {self.reference!r} to {name!r}",
            field="pairs",
            value=[(link.fixed, link.moving) for link in self.links],
            remedy="Add a pair that joins them",
        )

    def _names_along(self, way: Sequence[int], start: str) -> tuple[str, ...]:
        names = [start]
        for i in way:
            names.append(self.links[i].other(names[-1]))
        return tuple(names)

    def _ways_round(self) -> Iterator[tuple[int, ...]]:
        """Each closed way, as pairs by number, from its first pair on."""
        for first, link in enumerate(self.links):
            stack: list[tuple[tuple[int, ...], tuple[str, ...]]] = [((first,), (link.fixed, link.moving))]
            while stack:
                way, names = stack.pop()
                for i in range(first + 1, len(self.links)):
                    step = self.links[i]
                    if i in way or names[-1] not in (step.fixed, step.moving):
                        continue
                    onward = step.other(names[-1])
                    if onward == link.fixed:
                        yield (*way, i)
                    elif onward not in names and len(way) + 1 < LONGEST_LOOP:
                        stack.append(((*way, i), (*names, onward)))

    def _loop(self, way: Sequence[int]) -> Loop:
        names = self._names_along(way, self.links[way[0]].fixed)[:-1]
        there = _chained([self.links[i].between(start) for i, start in zip(way, names, strict=True)])
        points = self.points_um[names[0]]
        error = float(np.linalg.norm(there(points) - points, axis=1).mean())
        return Loop(names, tuple(way), error, AGREED_VOXELS * max(self.voxel_um[name] for name in names))


def register_graph(volumes: Mapping[str, Volume], reference: str, tasks: Sequence[Task]) -> Graph:
    """Register each pair, and see how the pairs agree.

    Parameters
    ----------
    volumes : by name.
    reference : the one that the others are brought onto.
    tasks : the pairs; each volume must be joined to the reference by some chain of them.

    Raises
    ------
    ConfigError : a name that is not known, a pair named twice or with itself, a volume that no pair joins.
    FusetrackError : whatever a registrar raises.
    """
    _check_pairs(volumes, reference, [(task.fixed, task.moving) for task in tasks])
    links = tuple(Link(task.fixed, task.moving, _registered(task, volumes)) for task in tasks)
    points = {name: foreground_um(volume) for name, volume in volumes.items()}
    voxels = {name: max(volume.grid.spacing_um) for name, volume in volumes.items()}
    return with_cycles(Graph(reference, links, points, voxels))


def with_cycles(graph: Graph) -> Graph:
    """The same graph with each pair's best loop error written into its quality, as ``cycle_um``."""
    links = []
    for i, link in enumerate(graph.links):
        loop = graph.closest(i)
        quality = link.registered.quality
        if loop is not None and quality.cycle_um is None:
            quality = replace(quality, cycle_um=loop.error_um)
        links.append(replace(link, registered=replace(link.registered, quality=quality)))
    return replace(graph, links=tuple(links))


def foreground_um(volume: Volume, count: int = FOREGROUND_POINTS) -> Points:
    """World points (n, 3) of the brighter of Otsu's two classes, evenly thinned; the same for the same volume.

    Raises
    ------
    ContentError : a volume that is constant or not finite.
    """
    from registration.prepared import prepare

    points = prepare(volume, None, 32, 0, "volume").foreground_um
    return points[:: max(1, len(points) // count)]


def _registered(task: Task, volumes: Mapping[str, Volume]) -> Registered:
    fixed, moving = task.images or (volumes[task.fixed], volumes[task.moving])
    return task.registrar.register(
        fixed,
        moving,
        fixed_mask=task.fixed_mask,
        moving_mask=task.moving_mask,
        start=task.start,
    )


def _chained(parts: Sequence[Transform]) -> Transform:
    """One transform that applies the parts in their order; several linear ones become one."""
    whole = Composite(tuple(reversed(parts))) if parts else Affine.identity()
    return as_affine(whole) or whole


def _worst(states: Sequence[Status]) -> Status:
    order = (Status.FAILED, Status.DOUBTFUL)
    return next((status for status in order if status in states), Status.GOOD)


def _unclosed(loop: Loop) -> str:
    way = " → ".join((*loop.names, loop.names[0]))
    return (
        f"the loop {way} does not close: points come back {loop.error_um:.3g} µm from where they began. One of its "
        "pairs is wrong: give a start, or add a pair that makes another loop"
    )


def _check_pairs(volumes: Mapping[str, Volume], reference: str, pairs: Sequence[tuple[str, str]]) -> None:
    for name in {reference, *(name for pair in pairs for name in pair)}:
        if name not in volumes:
            raise ConfigError("is not among the volumes", field="pairs", value=name, remedy=f"Known: {sorted(volumes)}")
    for pair in pairs:
        if pair[0] == pair[1] or pairs.count(pair) > 1:
            raise ConfigError("names a pair twice, or one volume with itself", field="pairs", value=pair)
    joined, added = {reference}, True
    while added:
        more = {name for pair in pairs if joined & set(pair) for name in pair} - joined
        joined, added = joined | more, bool(more)
    apart = [name for name in volumes if name not in joined]
    if apart:
        raise ConfigError(
            f"no chain of pairs leads from {reference!r} to {apart[0]!r}",
            field="pairs",
            value=[list(pair) for pair in pairs],
            remedy="Add a pair that joins them",
        )
