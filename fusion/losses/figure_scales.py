"""On which scales the field's figures are judged, in training and in guidance alike; free of torch."""

LEVELS = 255.0
"""Grey levels that the common scale of 0 to 1 has in the field's figures."""
LEAST = {"SCD": 0.7, "VIF": 0.3, "Q": 0.3, "SSIM": 0.7}
"""About half of what the maximum usually has: a gain is a share of no less than that, or it would have no bound."""
TOLD = 0.05
"""A source of which the maximum tells less than this counts as one of which it tells so much."""
FLAT = 0.03
"""Deviation, on the scale of 1, below which a source shows nothing to be judged by."""
RANGE = 4.0
"""Of SSIM: near the published 2 of 255, where black must stay black, and less steep there."""
