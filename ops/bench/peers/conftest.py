"""Peers are no modules of ours: they run in environments of their own, which tests have not."""

collect_ignore_glob = ["*_hop.py", "loop*.py", "work.py"]
