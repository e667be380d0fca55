"""A registry for trying things: it reads another one, and writes nothing to it."""

from __future__ import annotations

from typing import Any

from streams.codec import MemoryRegistry, Registry
from streams.errors import Unregistered

LOCAL_IDS = 1 << 30  # from here on; registries count from one


class ScratchRegistry:
    """Schemas that the other registry lacks get ids that only this one knows."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._local = MemoryRegistry()

    def schema_id(self, subject: str, schema: dict[str, Any]) -> int:
        """The id that it is registered under, or a local one."""
        try:
            return self._registry.schema_id(subject, schema)
        except Unregistered:
            return LOCAL_IDS + self._local.schema_id(subject, schema)

    def writer_schema(self, subject: str, schema_id: int) -> dict[str, Any]:
        """The schema of an id, if it belongs to the subject."""
        if schema_id > LOCAL_IDS:
            return self._local.writer_schema(subject, schema_id - LOCAL_IDS)
        return self._registry.writer_schema(subject, schema_id)

    def any_schema(self, schema_id: int) -> dict[str, Any]:
        """The schema of an id, of any subject."""
        if schema_id > LOCAL_IDS:
            return self._local.any_schema(schema_id - LOCAL_IDS)
        return self._registry.any_schema(schema_id)
