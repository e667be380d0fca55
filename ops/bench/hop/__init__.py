"""The flow `hop`, which every engine of the benchmark runs: one reading in, one feature out."""
