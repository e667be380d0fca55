"""The schema registry: Confluent's API, asked once per schema and remembered.

Producers never register; `doa apply` and `doa schemas register` do. An outage is a RegistryError,
which pauses a
flow; only the registry's own word that it does not know an id makes a dead letter.
"""

from __future__ import annotations

import json
import time
from typing import Any

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from streams.errors import RegistryError, SubjectMismatch, UnknownSchema
from streams.settings import Settings

COMPATIBILITY = "BACKWARD"
UNKNOWN_TRIES = 3
UNKNOWN_PAUSE_S = 0.2
NOT_FOUND = 404
CONFLICT = 409


class ConfluentRegistry:
    """A registry behind an URL; the `Registry` that codecs ask."""

    def __init__(self, url: str, settings: Settings) -> None:
        config: dict[str, Any] = {"url": url, "timeout": settings.request_timeout_s}
        if settings.registry_user is not None and settings.registry_password is not None:
            secret = settings.registry_password.get_secret_value()
            config["basic.auth.user.info"] = f"{settings.registry_user}:{secret}"
        self.url = url
        self._client = SchemaRegistryClient(config)
        self._schemas: dict[int, dict[str, Any]] = {}
        self._unknown: dict[tuple[str, int], UnknownSchema] = {}

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def schema_id(self, subject: str, schema: dict[str, Any]) -> int:
        """The id of a registered schema."""
        try:
            return int(self._client.lookup_schema(subject, _schema(schema)).schema_id or 0)
        except SchemaRegistryError as error:
            if error.http_status_code == NOT_FOUND:
                raise RegistryError(
                    f"{subject} has no such schema in the registry; run: doa apply"
                ) from error
            raise RegistryError(f"{subject}: {error}") from error
        except Exception as error:  # the client raises its HTTP library's own errors
            raise RegistryError(f"the registry at {self.url} does not answer: {error}") from error

    def knows(self, subject: str, schema: dict[str, Any]) -> bool:
        """Whether a schema is registered, however it is spelled."""
        try:
            self._client.lookup_schema(subject, _schema(schema))
        except SchemaRegistryError as error:
            if error.http_status_code == NOT_FOUND:
                return False
            raise RegistryError(f"{subject}: {error}") from error
        return True

    def writer_schema(self, subject: str, schema_id: int) -> dict[str, Any]:
        """The schema of an id, if it belongs to the subject; an unknown id is asked for again,
        since registries lag.
        """
        if (subject, schema_id) in self._unknown:
            raise self._unknown[(subject, schema_id)]
        try:
            parsed = self.any_schema(schema_id)
        except UnknownSchema as unknown:
            self._unknown[(subject, schema_id)] = unknown
            raise
        try:
            self._client.lookup_schema(subject, _schema(parsed))
        except SchemaRegistryError as error:
            if error.http_status_code == NOT_FOUND:
                raise SubjectMismatch(f"schema id {schema_id} is not one of {subject}") from error
            raise RegistryError(f"{subject}: {error}") from error
        return parsed

    def any_schema(self, schema_id: int) -> dict[str, Any]:
        """The schema of an id, of any subject."""
        for attempt in range(UNKNOWN_TRIES):
            if schema_id in self._schemas:
                break
            try:
                self._schemas[schema_id] = json.loads(
                    self._client.get_schema(schema_id).schema_str or "null"
                )
            except SchemaRegistryError as error:
                if error.http_status_code != NOT_FOUND:
                    raise RegistryError(f"schema id {schema_id}: {error}") from error
                if attempt + 1 < UNKNOWN_TRIES:
                    time.sleep(UNKNOWN_PAUSE_S)
            except Exception as error:
                raise RegistryError(
                    f"the registry at {self.url} does not answer: {error}"
                ) from error
        if schema_id not in self._schemas:
            raise UnknownSchema(f"the registry has no schema of id {schema_id}")
        return self._schemas[schema_id]

    def register(self, subject: str, schema: dict[str, Any]) -> int:
        """Register a schema, compatibility set before anything is written; RegistryError when it
        is incompatible.
        """
        try:
            if self._compatibility(subject) is None:
                self._client.set_compatibility(subject, COMPATIBILITY)
            return int(self._client.register_schema(subject, _schema(schema)))
        except SchemaRegistryError as error:
            if error.http_status_code == CONFLICT:
                raise RegistryError(
                    f"{subject}: the registry refuses the schema, "
                    f"it is not {COMPATIBILITY} compatible with the last "
                    "version; see: doa schemas diff"
                ) from error
            raise RegistryError(f"{subject}: {error}") from error
        except Exception as error:
            raise RegistryError(f"the registry at {self.url} does not answer: {error}") from error

    def subjects(self) -> list[str]:
        """All subjects."""
        try:
            return list(self._client.get_subjects())
        except Exception as error:
            raise RegistryError(f"the registry at {self.url} does not answer: {error}") from error

    def latest(self, subject: str) -> dict[str, Any] | None:
        """The newest schema of a subject, or None."""
        try:
            version = self._client.get_latest_version(subject)
        except SchemaRegistryError as error:
            if error.http_status_code == NOT_FOUND:
                return None
            raise RegistryError(f"{subject}: {error}") from error
        schema: dict[str, Any] = json.loads(version.schema.schema_str or "null")
        return schema

    def _compatibility(self, subject: str) -> str | None:
        try:
            return str(self._client.get_compatibility(subject))
        except SchemaRegistryError as error:
            if error.http_status_code == NOT_FOUND:
                return None
            raise


def _schema(schema: dict[str, Any]) -> Schema:
    return Schema(json.dumps(schema), "AVRO")
