"""Where Kafka and the registry are: as the settings say, else the embedded stack of this
checkout.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ops.sensitive import may_see
from ops.stack import Stack, default_home
from streams.broker import Cluster
from streams.errors import BrokerError, StreamsError
from streams.masking import masks_of
from streams.outline import Outline, outline
from streams.registry import ConfluentRegistry
from streams.settings import Settings
from streams.shown import View
from streams.snapshot import Keys
from streams.topology import Topology


class NotConnected(StreamsError):
    """Neither the settings nor a running embedded stack say where Kafka is."""


@dataclass(frozen=True)
class Connection:
    """A cluster, its registry, and what signs snapshots there."""

    cluster: Cluster
    registry: ConfluentRegistry
    settings: Settings

    @cached_property
    def keys(self) -> Keys:
        """The keys of the home, made when they are first needed: who only looks writes nothing."""
        return Keys.load_or_create(home_of(self.settings) / "keys.json")

    def view(self, flows: Topology | Outline, *, sensitive: bool = False) -> View:
        """How records of these flows are shown; NotAllowed where nothing sensitive may be."""
        known = flows if isinstance(flows, Outline) else outline(flows)
        masks = masks_of(known, may_see(self.settings, sensitive=sensitive))
        return View(self.registry, known.names, self.settings.prefix, masks)


def home_of(settings: Settings) -> Path:
    """Where the embedded stack, keys and locks live."""
    return settings.home or default_home()


def connect(settings: Settings | None = None) -> Connection:
    """Reach the cluster, or say what to do: NotConnected, BrokerError."""
    settings = settings or Settings()
    home = home_of(settings)
    bootstrap, registry_url = settings.bootstrap, settings.registry_url
    if bootstrap is None or registry_url is None:
        status = Stack(home).status()
        if not status.up:
            raise NotConnected(
                "no Kafka is running for this checkout; run: doa up "
                "(or set DOA_BOOTSTRAP and DOA_REGISTRY_URL)"
            )
        bootstrap = bootstrap or f"127.0.0.1:{status.kafka.port}"
        registry_url = registry_url or f"http://127.0.0.1:{status.registry.port}/apis/ccompat/v7"
    cluster = Cluster(bootstrap, settings)
    try:
        cluster.partitions()
    except BrokerError as error:
        raise NotConnected(
            f"Kafka at {bootstrap} does not answer ({error}); run: doa status"
        ) from error
    return Connection(cluster, ConfluentRegistry(registry_url, settings), settings)
