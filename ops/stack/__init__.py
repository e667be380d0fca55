"""Kafka and the schema registry of one checkout, brought by pip alone: up, down, status.

`Stack` is all that the command line uses; the modules beside it each know one thing: the lock, a
download, a Java, a port, a process, Kafka, the registry.
"""

from __future__ import annotations

from ops.stack.errors import StackError
from ops.stack.stack import Endpoints, ServerStatus, Stack, StackStatus, default_home

__all__ = ["Endpoints", "ServerStatus", "Stack", "StackError", "StackStatus", "default_home"]
