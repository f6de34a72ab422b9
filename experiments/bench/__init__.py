"""Benchmarks: each part beside its peers, on the same cases in the same run."""
