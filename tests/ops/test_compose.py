"""docker-compose.yml runs what `doa up` runs: same versions, same settings, and loopback only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.stack import kafka
from ops.stack.lock import read_lock
from streams.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

# What must differ between a container and a process of the machine.
PLACES = {
    "controller.quorum.bootstrap.servers",
    "inter.broker.listener.name",
    "listener.security.protocol.map",
}


def test_versions_are_those_of_the_embedded_stack() -> None:
    lock = read_lock()
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{lock.kafka_version}"
    assert SERVICES["registry"]["image"] == f"apicurio/apicurio-registry:{lock.registry_version}"


def test_broker_settings_are_those_of_the_embedded_stack() -> None:
    environment = SERVICES["kafka"]["environment"]
    composed = {
        name: str(environment.get(f"KAFKA_{name.upper().replace('.', '_')}"))
        for name in kafka.SETTINGS.keys() - PLACES
    }
    embedded = {name: str(kafka.SETTINGS[name]) for name in kafka.SETTINGS.keys() - PLACES}
    assert composed == embedded
    assert environment["KAFKA_HEAP_OPTS"] == f"-Xmx{kafka.HEAP_MB}m"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_image_is_pinned(name: str) -> None:
    _, _, tag = SERVICES[name]["image"].partition(":")
    assert any(character.isdigit() for character in tag)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_ports_are_published_on_loopback(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_a_service_needs_is_there(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("depends_on", [])) <= set(SERVICES)
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


def test_worker_is_told_only_settings_that_exist() -> None:
    environment = SERVICES["worker"]["environment"]
    told = {name.removeprefix("DOA_").lower() for name in environment if name.startswith("DOA_")}
    assert told - Settings.model_fields.keys() == set()


def test_workers_share_a_home_that_outlives_them() -> None:
    worker = SERVICES["worker"]
    mounts = dict(volume.split(":")[:2] for volume in worker["volumes"])
    shared = [name for name in COMPOSE["volumes"] if name in mounts]
    assert [mounts[name] for name in shared] == [worker["environment"]["DOA_HOME"]]


def test_prometheus_scrapes_the_port_of_the_worker() -> None:
    text = (ROOT / "ops" / "compose" / "prometheus.yml").read_text(encoding="utf-8")
    (job,) = yaml.safe_load(text)["scrape_configs"]
    (discovery,) = job["dns_sd_configs"]
    assert discovery["names"] == ["worker"]
    assert discovery["port"] == SERVICES["worker"]["environment"]["DOA_WEB_PORT"]


def test_dashboard_reads_the_provisioned_source() -> None:
    grafana = ROOT / "ops" / "compose" / "grafana"
    text = (grafana / "provisioning" / "datasources" / "prometheus.yml").read_text(encoding="utf-8")
    (source,) = yaml.safe_load(text)["datasources"]
    dashboard = json.loads((grafana / "dashboards" / "flow.json").read_text(encoding="utf-8"))
    assert source["url"] == "http://prometheus:9090"
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {source["uid"]}
