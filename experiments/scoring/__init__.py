"""Figures against a known truth, one file for each task, and the one table that holds them all."""
