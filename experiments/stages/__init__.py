"""The steps of a run, one file each: what a stage reads, does and leaves; none of them knows the others' insides."""
