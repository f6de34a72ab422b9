"""One tissue with its exact truth: moved volumes, degraded lineages, and movies of nuclei, for tests and benchmarks."""

from phantom.displaced import displaced
from phantom.dropouts import Observed, observed
from phantom.imaging import Microscope, blurred, read_noise, shot_noise
from phantom.lineage import Lineage, read_lineage
from phantom.nuclei import NucleiMovie, nuclei_movie

__all__ = [
    "Lineage",
    "Microscope",
    "NucleiMovie",
    "Observed",
    "blurred",
    "displaced",
    "nuclei_movie",
    "observed",
    "read_lineage",
    "read_noise",
    "shot_noise",
]
