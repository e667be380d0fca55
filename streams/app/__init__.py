"""Faust as the host of the loops: process, signals, web views, control. The one door to Faust.

Records do not pass through Faust on the hot path: each loop runs on a thread of its own
(`streams.hosted`), and Faust starts it, watches it and stops it. What does pass are commands on
`<flow>-control`, and what plain agents read and write through `bridge`, at least once. If a loop
dies the host ends, and if the host ends so does the worker.

Faust is extended by inheritance, so there are classes here that elsewhere would be functions.
"""

from __future__ import annotations

from streams.app.bridge import RecordTopic, bridge
from streams.app.host import Host, build_app, run_app
from streams.app.sealed import seal_codecs

__all__ = ["Host", "RecordTopic", "bridge", "build_app", "run_app", "seal_codecs"]
