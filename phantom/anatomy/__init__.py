"""Anatomy: which tissue is where, and what every instrument sees in it."""
