"""Nuclei of no specimen in particular, drawn and seen in a tenth of a second: what a segmenter learns from."""

from phantom.nuclei.recipe import Recipe, random_recipe
from phantom.nuclei.shapes import shapes_of
from phantom.nuclei.specimen import Specimen, correlation, made, random_specimen

__all__ = ["Recipe", "Specimen", "correlation", "made", "random_recipe", "random_specimen", "shapes_of"]
