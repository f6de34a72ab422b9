"""Fusers that learn or sample: networks, their paths from noise or from a first fusion, and their weights."""
