"""Random patchworks of tissue, seen by random modalities, clean and degraded: pictures to learn from without end.

They resemble no specimen, on purpose: what is learnt from shapes, contrasts and faults drawn at random holds for those
that were never drawn (domain randomisation; Billot et al. 2023, "SynthSeg", Medical Image Analysis 86).
"""

from phantom.patchwork.faults import degraded
from phantom.patchwork.looks import LOOKS, Look, pictures_of
from phantom.patchwork.structure import Structure, random_structure, structure_of

__all__ = ["LOOKS", "Look", "Structure", "degraded", "pictures_of", "random_structure", "structure_of"]
