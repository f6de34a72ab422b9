"""Levels between background and cells, read off a histogram of 256 bins."""
