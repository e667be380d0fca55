"""A plain Faust agent beside a flow: `desk` raises alerts, the agent acts and publishes that.

doa --app ops.examples.agents.desk apply
doa --app ops.examples.agents.desk worker desk
python -m ops.examples.agents.rebook
"""
