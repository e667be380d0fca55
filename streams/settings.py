"""Every setting and every limit of a running `doa`, with its unit in its name.

Each can be set in the environment as `DOA_<NAME>`, for instance `DOA_BOOTSTRAP=broker:9092`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

# They say where things are and who asks, not how a flow runs; some are credentials.
UNRECORDED = frozenset(
    {
        "bootstrap",
        "home",
        "registry_password",
        "registry_url",
        "registry_user",
        "sasl_password",
        "sasl_username",
        "ssl_ca_location",
    }
)


class Settings(BaseSettings):
    """How to reach a cluster, and the bounds of everything that could grow."""

    model_config = SettingsConfigDict(env_prefix="DOA_", frozen=True)

    bootstrap: str | None = Field(
        None, description="Kafka bootstrap servers; the embedded stack's if unset."
    )
    registry_url: str | None = Field(
        None, description="Confluent API of the registry; the embedded one's if unset."
    )
    registry_user: str | None = None
    registry_password: SecretStr | None = None
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_location: str | None = None
    replication_factor: int = Field(1, ge=1)
    namespace: str = Field(
        "", pattern=r"^[a-z0-9_]*$", description="Prefix of all topics, for twin systems."
    )
    home: Path | None = Field(None, description="Where the embedded stack, locks and keys live.")

    batch_records_max: int = Field(20_000, ge=1, description="Input records of one transaction.")
    batch_bytes_max: int = Field(16_000_000, ge=1, description="Output bytes of one transaction.")
    batch_ms_max: int = Field(2_000, ge=1, description="Age of a transaction under load.")
    idle_commit_ms: int = Field(
        100, ge=0, description="Age of a transaction when no input waits, and of the first one."
    )
    queue_records_max: int = Field(
        12_000, ge=1, description="Fetched records that wait, per input."
    )
    queue_bytes_max: int = Field(16_000_000, ge=1, description="Bytes that wait, per input.")
    fetch_records: int = Field(  # with more, a record has left the cache when it is its turn
        500, ge=1, description="Records taken from the consumer at once."
    )
    redrive_records_max: int = Field(
        500, ge=1, description="Dead letters that are asked for in one transaction."
    )
    session_timeout_ms: int = 6_000
    transaction_timeout_ms: int = 10_000
    commit_timeout_s: float = 20.0
    request_timeout_s: float = 15.0
    restore_timeout_s: float = 120.0
    retry_pause_s: float = 2.0
    web_host: str = Field(
        "127.0.0.1",
        description="Where the worker's web views listen; they ask nobody who they are.",
    )
    web_port: int = Field(
        0, description="Port of the worker's web views on loopback; 0 picks a free one."
    )
    stuck_s: float = Field(
        60.0, description="Records ahead and no progress for so long: the worker exits."
    )
    may_see: str = Field(
        "",
        pattern=r"^((undeclared|internal|personal)(,|$))*$",
        description="Sensitivities that --sensitive shows: undeclared, internal, personal.",
    )

    @property
    def sensitivities(self) -> frozenset[str]:
        """Those that may be seen by whoever asks."""
        return frozenset(filter(None, self.may_see.split(",")))

    @property
    def prefix(self) -> str:
        """What the names of all our topics and groups begin with in the cluster."""
        return prefix_of(self.namespace)


def recorded(settings: Settings) -> dict[str, str]:
    """Settings that differ from their defaults, as a run writes them into its journal.

    >>> recorded(Settings(batch_records_max=50, sasl_password="hidden"))["batch_records_max"]
    '50'
    """
    fields = Settings.model_fields
    changed = {n: getattr(settings, n) for n in fields if getattr(settings, n) != fields[n].default}
    return {
        name: str(value)
        for name, value in changed.items()
        if name not in UNRECORDED and not isinstance(value, SecretStr)
    }


def in_words(changed: Mapping[str, str]) -> str:
    """Recorded settings, each beside its default; one that is no more stands alone.

    >>> in_words({"batch_records_max": "50", "former": "1"})
    'batch_records_max 50 (default 20000), former 1'
    """
    fields = Settings.model_fields
    told = {n: f" (default {fields[n].default})" if n in fields else "" for n in changed}
    return ", ".join(f"{name} {value}{told[name]}" for name, value in changed.items())


def prefix_of(namespace: str) -> str:
    """What the names of all topics and groups of a namespace begin with; nothing if it has none.

    >>> prefix_of("twin") + "flights.event.departure", prefix_of("") + "flights"
    ('twin.flights.event.departure', 'flights')
    """
    return f"{namespace}." if namespace else ""
