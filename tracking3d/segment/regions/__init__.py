"""Cells as regions that grow from seeds, or stand above levels."""
