"""How near to the optimum a packing is: a bound from its prices, made exact around every place where it is not tight.

Prices π bound all packings: total ≤ Σ π + Σ max(0, worth − Σ π) over links and bundles, see :mod:`prices`. What
exceeds its prices stands in small regions. In each, the constraints are kept and those outside are priced: the best of

  Σ (worth − Σ π of the places outside) over the choices that touch the region, no place of it claimed twice

bounds what the region can hold (a Lagrangean relaxation of the rest), and a small integer program finds it. Where that
is no more than what was chosen, the region is proved; where the best lies wholly inside, it is a better choice and is
taken; else the region grows by the places that it reached for. Regions that one promising choice touches are solved as
one: a choice whose prices exceed its worth by more than all that a region may win cannot help it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracking3d.link.matching import Graph
from tracking3d.link.packing import Bundles, Packing, held
from tracking3d.link.prices import Holding, settled_prices, short_of
from tracking3d.link.reference import chosen_of
from volumes.jit import kernel

TIGHT = 1e-6
"""Nats below which an excess is rounding."""
MOST_PLACES = 300
"""A region that grows past so many places is left as it is, its gap counted."""


@dataclass(frozen=True)
class Proof:
    """What is known of the distance to the optimum of the problem as it was posed.

    Parameters
    ----------
    gap : no choice of links and bundles is worth more than the chosen one by so many nats.
    proved : (n,) whether a cell lies outside of all regions that are not proved.
    regions : number of regions that were solved apart.
    """

    gap: float
    proved: NDArray[np.bool_]
    regions: int


@dataclass
class Region:
    """Places that are judged together, what the prices allow them above what is chosen, and what is left of it."""

    places: set[int]
    gap: float = 0.0
    left: float = 0.0


class Offers(NamedTuple):
    """Choices that touch a region, and which bundle (k,) each of them is, −1 for a link."""

    bundles: Bundles
    which: NDArray[np.int64]


def proved(packing: Packing, bundles: Bundles) -> tuple[Packing, Proof]:
    """The packing, bettered where a region shows how, and how much of it is proved; changes its graph."""
    graph, n = packing.places, len(packing.places.price) // 2
    holding = held(n, bundles, packing.taken)
    settled_prices(holding, graph)
    regions = _Regions(graph, holding)
    won = regions.solve()
    known = np.ones(2 * n, bool)
    for region in regions.by_number.values():
        known[list(region.places)] &= region.left <= TIGHT
    gap = sum(region.left for region in regions.by_number.values())
    better = Packing(graph.mate[n:].copy(), holding.taken, packing.total + won, graph)
    return better, Proof(gap, known[:n] & known[n:], len(regions.by_number))


class _Regions:
    """All regions of a packing; they grow, and merge where they meet."""

    def __init__(self, graph: Graph, holding: Holding) -> None:
        self.graph, self.holding = graph, holding
        self.number = np.full(len(graph.price), -1)
        self.by_number: dict[int, Region] = {}
        start, place = _loose(graph, holding)
        for number in range(len(start) - 1):
            self.by_number[number] = Region(set())
            self._merged(number, self._grown(number, place[start[number] : start[number + 1]].tolist()))
        for number, region in self.by_number.items():
            region.gap = region.left = self._gap(number)

    def solve(self) -> float:
        """Settle every region; returns what better choices win."""
        won, waiting = 0.0, sorted(self.by_number, reverse=True)
        while waiting:
            number = waiting.pop()
            if number not in self.by_number:
                continue
            offers = self._offers(number)
            met = set(self.number[offers.bundles.place].tolist()) - {-1, number}
            if met:
                self._merged(number, met)
            elif len(self.by_number[number].places) <= MOST_PLACES:
                gain, reached = self._settled(number, offers)
                won += gain
                met = set(reached)
                self._merged(number, self._grown(number, reached))
            if met:
                waiting.append(number)
        return won

    def _grown(self, number: int, places: Iterable[int]) -> set[int]:
        """Give a region these places and what is chosen with them; returns the regions that hold some of them."""
        met = set()
        for place in places:
            for other in self._together(place):
                if self.number[other] < 0:
                    self.number[other] = number
                    self.by_number[number].places.add(other)
                met.add(int(self.number[other]))
        return met - {number}

    def _merged(self, number: int, others: Iterable[int]) -> None:
        region = self.by_number[number]
        for other in others:
            absorbed = self.by_number.pop(other)
            region.places |= absorbed.places
            region.gap += absorbed.gap
            region.left += absorbed.left
            self.number[list(absorbed.places)] = number

    def _together(self, place: int) -> list[int]:
        """The places of what is chosen at a place."""
        bundle, mate = int(self.holding.holder[place]), int(self.graph.mate[place])
        if bundle >= 0:
            return [int(p) for p in self.holding.place[self.holding.first[bundle] : self.holding.first[bundle + 1]]]
        return [place, mate] if mate >= 0 else [place]

    def _gap(self, number: int) -> float:
        """What the prices allow a region above what is chosen in it."""
        every = self._touching(number, np.inf).bundles
        excess = every.worth - every.sums(self.graph.price)
        bound = self.graph.price[list(self.by_number[number].places)].sum() + excess[excess > 0].sum()
        return max(0.0, float(bound) - self._chosen(number))

    def _chosen(self, number: int) -> float:
        """Worth of what is chosen in a region."""
        places = np.array(sorted(self.by_number[number].places))
        bundles = np.unique(self.holding.holder[places])
        mates = places[self.graph.mate[places] > places]
        links = sum(_gain(int(place), int(self.graph.mate[place]), self.graph) for place in mates)
        return float(links + self.holding.worth[bundles[bundles >= 0]].sum())

    def _touching(self, number: int, most: float) -> Offers:
        places = np.array(sorted(self.by_number[number].places), np.int64)
        start, place, worth, which = _touching(places, self.number, self.graph, self.holding, most)
        return Offers(Bundles(start, place, worth), which)

    def _offers(self, number: int) -> Offers:
        """Choices that touch a region and may raise it, or it and the regions that they touch as well."""
        own = self.by_number[number].gap
        others = max((region.gap for other, region in self.by_number.items() if other != number), default=0.0)
        every, which = self._touching(number, own + 6 * others + TIGHT)
        allowed = np.full(len(which), own + TIGHT)
        region = self.number[every.place]
        for at in np.flatnonzero((region >= 0) & (region != number)):
            allowed[every.owner[at]] += self.by_number[int(region[at])].gap
        rows = np.flatnonzero(every.sums(self.graph.price) - every.worth < allowed)
        return Offers(every.take(rows), which[rows])

    def _settled(self, number: int, offers: Offers) -> tuple[float, list[int]]:
        """Solve a region: what a better choice in it wins, and the places outside that a better one reaches for."""
        region, every, k = self.by_number[number], offers.bundles, len(offers.which)
        places = np.array(sorted(region.places), np.int64)
        inside = self.number[every.place] == number
        priced = np.bincount(every.owner, np.where(inside, 0.0, self.graph.price[every.place]), k)
        start = np.concatenate([[0], np.cumsum(np.bincount(every.owner[inside], minlength=k))])
        local = np.searchsorted(places, every.place[inside])
        chosen, best = chosen_of(Bundles(start, local, every.worth - priced), len(places))
        region.left = max(0.0, best - self._chosen(number))
        reached = every.place[~inside & chosen[every.owner]]
        if region.left <= TIGHT or len(reached):
            return 0.0, reached.tolist() if region.left > TIGHT else []
        gain, region.left = region.left, 0.0
        self._adopted(places, Offers(every.take(np.flatnonzero(chosen)), offers.which[chosen]))
        return gain, []

    def _adopted(self, places: NDArray[np.int64], chosen: Offers) -> None:
        """Choose in a region what its program chose."""
        graph, holding = self.graph, self.holding
        holding.taken[holding.holder[places][holding.holder[places] >= 0]] = False
        holding.holder[places], graph.mate[places], graph.open[places] = -1, -1, True
        for k, bundle in enumerate(chosen.which):
            claims = chosen.bundles.place[chosen.bundles.start[k] : chosen.bundles.start[k + 1]]
            if bundle < 0:
                graph.mate[claims] = claims[::-1]
            else:
                holding.taken[bundle], holding.holder[claims], graph.open[claims] = True, bundle, False


@kernel
def _gain(place: int, mate: int, graph: Graph) -> float:
    for e in range(graph.start[place], graph.start[place + 1]):
        if graph.other[e] == mate:
            return float(graph.gain[e])
    return 0.0


@kernel
def _loose(graph: Graph, holding: Holding) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places (compressed rows) of all links and bundles that exceed their prices, or are chosen below them."""
    start, claims = [0], [0]
    claims.pop()
    for place in range(len(graph.price)):
        if graph.mate[place] < 0 and holding.holder[place] < 0 and graph.price[place] > TIGHT:
            claims.append(place)
            start.append(len(claims))
        for e in range(graph.start[place], graph.start[place + 1]):
            other = graph.other[e]
            over = graph.gain[e] - graph.price[place] - graph.price[other]
            if other > place and (over > TIGHT or (graph.mate[place] == other and over < -TIGHT)):
                claims.append(place)
                claims.append(other)
                start.append(len(claims))
    for k in range(len(holding.taken)):
        short = short_of(k, holding, graph)
        if short < -TIGHT or (holding.taken[k] and short > TIGHT):
            claims.extend(holding.place[holding.first[k] : holding.first[k + 1]])
            start.append(len(claims))
    return np.array(start), np.array(claims)


@kernel
def _touching(
    places: NDArray[np.int64], number: NDArray[np.int64], graph: Graph, holding: Holding, most: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Links and bundles with a place of one region, each once, that fall short of their prices by ``most`` at the most.

    Returns
    -------
    start, place, worth : as of :class:`Bundles`.
    which : (k,) the bundle, −1 for a link.
    """
    start, claims, worth, which = [0], [0], [0.0], [0]
    claims.pop()
    worth.pop()
    which.pop()
    for place in places:
        for e in range(graph.start[place], graph.start[place + 1]):
            other = graph.other[e]
            twice = number[other] == number[place] and other < place
            if not twice and graph.price[place] + graph.price[other] - graph.gain[e] <= most:
                claims.append(place)
                claims.append(other)
                start.append(len(claims))
                worth.append(graph.gain[e])
                which.append(-1)
        for at in range(holding.start[place], holding.start[place + 1]):
            k = holding.of[at]
            first = -1
            for i in range(holding.first[k], holding.first[k + 1]):
                if first < 0 and number[holding.place[i]] == number[place]:
                    first = holding.place[i]
            if first == place and short_of(k, holding, graph) <= most:
                claims.extend(holding.place[holding.first[k] : holding.first[k + 1]])
                start.append(len(claims))
                worth.append(holding.worth[k])
                which.append(k)
    return np.array(start), np.array(claims), np.array(worth), np.array(which)
