"""Sources made ready to be fused: one scale, even light, no stripes, no bias, one resolution. Volume in, Volume out."""

from fusion.prepare.bias import BiasConfig, bias_corrected, bias_field
from fusion.prepare.destripe import DestripeConfig, destriped
from fusion.prepare.flat_field import flat_fielded, smooth_flat
from fusion.prepare.normalise import WhiteStripeConfig, hounsfield, percentile, white_stripe
from fusion.prepare.photons import photoelectrons, stabilised, unstabilised
from fusion.prepare.resolution import blurred_to, matched_resolution
from fusion.prepare.scale import matched_scale

__all__ = [
    "BiasConfig",
    "DestripeConfig",
    "WhiteStripeConfig",
    "bias_corrected",
    "bias_field",
    "blurred_to",
    "destriped",
    "flat_fielded",
    "hounsfield",
    "matched_resolution",
    "matched_scale",
    "percentile",
    "photoelectrons",
    "smooth_flat",
    "stabilised",
    "unstabilised",
    "white_stripe",
]
