"""Contours that move through an image until they lie on the outlines of cells; each refines given cells."""
