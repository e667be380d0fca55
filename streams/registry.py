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

from schemas.lint import schema_of, unsafe
from streams.errors import (
    RegistryError,
    SubjectMismatch,
    TopologyError,
    UnknownSchema,
    Unregistered,
    UnsafeSchema,
)
from streams.settings import Settings

COMPATIBILITY = "BACKWARD"
STRICTER = {"BACKWARD", "BACKWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"}
RETRIES, RETRY_WAIT_MS = 1, 100
UNKNOWN_WAITS = 2  # for a registry that lags; so many in any rest
UNKNOWN_PAUSE_S = 0.2
UNKNOWN_REST_S = 10.0
NOT_FOUND = 404
NO_SUBJECT, NO_SCHEMA = 40401, 40403  # the registry's own words: a proxy's 404 has none
CONFLICT = 409


class ConfluentRegistry:
    """A registry behind an URL; the `Registry` that codecs ask."""

    def __init__(self, url: str, settings: Settings) -> None:
        config: dict[str, Any] = {
            "url": url,
            "timeout": settings.request_timeout_s,
            "max.retries": RETRIES,  # who asks, waits and asks again; a transaction may be open
            "retries.wait.ms": RETRY_WAIT_MS,
        }
        if settings.registry_user is not None and settings.registry_password is not None:
            secret = settings.registry_password.get_secret_value()
            config["basic.auth.user.info"] = f"{settings.registry_user}:{secret}"
        self.url = url
        self._client = SchemaRegistryClient(config)
        self._schemas: dict[int, dict[str, Any]] = {}
        self._waits_left, self._rested_at = UNKNOWN_WAITS, time.monotonic()

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def schema_id(self, subject: str, schema: dict[str, Any]) -> int:
        """The id of a registered schema."""
        try:
            return int(self._client.lookup_schema(subject, _schema(schema)).schema_id or 0)
        except SchemaRegistryError as error:
            if error.http_status_code == NOT_FOUND:
                raise Unregistered(
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
        """The schema of an id, if it belongs to the subject."""
        found = self.any_schema(schema_id)
        try:
            self._client.lookup_schema(subject, _schema(found))
        except SchemaRegistryError as error:
            if error.error_code in (NO_SUBJECT, NO_SCHEMA):
                raise SubjectMismatch(f"schema id {schema_id} is not one of {subject}") from error
            raise RegistryError(f"{subject}: {error}") from error
        except Exception as error:
            raise RegistryError(f"the registry at {self.url} does not answer: {error}") from error
        return found

    def any_schema(self, schema_id: int) -> dict[str, Any]:
        """The schema of an id, of any subject; an unknown id is asked for again, since registries
        lag.
        """
        if schema_id not in self._schemas:
            text = self._text(schema_id)
            while text is None and self._may_wait():
                time.sleep(UNKNOWN_PAUSE_S)
                text = self._text(schema_id)
            if text is None:
                raise UnknownSchema(f"the registry has no schema of id {schema_id}")
            try:
                self._schemas[schema_id] = schema_of(text)
            except ValueError as error:
                raise UnsafeSchema(f"schema id {schema_id}: {error}") from error
        return self._schemas[schema_id]

    def _text(self, schema_id: int) -> str | None:
        """The text of a schema, or None when the registry itself says that it has none."""
        try:
            return self._client.get_schema(schema_id).schema_str or "null"
        except SchemaRegistryError as error:
            if error.error_code == NO_SCHEMA:
                return None
            raise RegistryError(f"schema id {schema_id}: {error}") from error
        except Exception as error:  # the client raises its HTTP library's own errors
            raise RegistryError(f"the registry at {self.url} does not answer: {error}") from error

    def _may_wait(self) -> bool:
        """Whether to wait for an unknown id. A flood of invented ones must not stop the flow."""
        if time.monotonic() - self._rested_at > UNKNOWN_REST_S:
            self._waits_left, self._rested_at = UNKNOWN_WAITS, time.monotonic()
        self._waits_left -= 1
        return self._waits_left >= 0

    def register(self, subject: str, schema: dict[str, Any]) -> int:
        """Register a schema, compatibility set before anything is written. TopologyError when
        nothing may be decoded by it, RegistryError when it is incompatible.
        """
        for fault in unsafe(schema):
            raise TopologyError(f"{subject}: {fault}")
        try:
            self._settle_compatibility(subject)
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

    def versions(self, subject: str) -> list[tuple[int, int, dict[str, Any]]]:
        """Every schema of a subject, the oldest first: version, schema id, schema."""
        try:
            found = [
                self._client.get_version(subject, n) for n in self._client.get_versions(subject)
            ]
        except SchemaRegistryError as error:
            if error.http_status_code == NOT_FOUND:
                return []
            raise RegistryError(f"{subject}: {error}") from error
        except Exception as error:
            raise RegistryError(f"the registry at {self.url} does not answer: {error}") from error
        return [
            (one.version or 0, one.schema_id or 0, json.loads(one.schema.schema_str or "null"))
            for one in found
        ]

    def compatibility(self, subject: str) -> str | None:
        """The rule of a subject; None where it has none of its own."""
        try:
            return str(self._client.get_compatibility(subject))
        except SchemaRegistryError as error:
            if error.http_status_code == NOT_FOUND:
                return None
            raise

    def _settle_compatibility(self, subject: str) -> None:
        if self.compatibility(subject) in STRICTER:
            return
        try:
            self._client.set_compatibility(subject, COMPATIBILITY)
        except SchemaRegistryError:
            # Apicurio answers 409 when somebody else has set it since; then it is set.
            if self.compatibility(subject) not in STRICTER:
                raise


def _schema(schema: dict[str, Any]) -> Schema:
    return Schema(json.dumps(schema), "AVRO")
