"""The flow `tides`, whole in three files: how high the sea stands, and where it comes too high.

doa --app ops.examples.tides graph tides
doa --app ops.examples.tides apply
doa --app ops.examples.tides worker tides
"""
