"""One specimen with its exact truth: a phantom before many instruments, moved volumes, lineages seen imperfectly."""

from phantom.config import PhantomConfig
from phantom.displaced import displaced
from phantom.dropouts import Observed, observed
from phantom.lineage import Lineage, read_lineage
from phantom.recording import write_phantom
from phantom.samples import Sample, SamplesConfig, samples
from phantom.truth import Recorded, Truth, read_truth

__all__ = [
    "Lineage",
    "Observed",
    "PhantomConfig",
    "Recorded",
    "Sample",
    "SamplesConfig",
    "Truth",
    "displaced",
    "observed",
    "read_lineage",
    "read_truth",
    "samples",
    "write_phantom",
]
