"""A plain Faust agent beside a flow: `desk` raises alerts, the agent acts on them and publishes what it did.

doa --app ops.examples.agents.desk apply
doa --app ops.examples.agents.desk worker desk
python -m ops.examples.agents.rebook
"""
