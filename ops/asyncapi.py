"""The streams of a topology as an AsyncAPI 3.0 document: for portals, generators and producers that
know nothing of us.

Everything is said from where our processors stand: they *send* what they write and *receive* what
they read. An event topic is open: others send there, too. Nothing in it comes from a cluster, so
that two runs print the same; of settings, none that is secret.

References
----------
AsyncAPI 3.0, https://www.asyncapi.com/docs/reference/specification/v3.0.0, and its Kafka bindings
0.5.0, https://github.com/asyncapi/bindings/tree/master/kafka
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from ops.apply import TopicWish, wishes
from schemas.derive import avro_schema
from streams.lineage import HEADER
from streams.processor import RecordClass
from streams.settings import Settings
from streams.topology import AnyProcessor, Flow, Topology, outputs_of, stream_of
from streams.trace_context import TRACEPARENT, TRACESTATE

VERSION = "3.0.0"
BINDING = {"bindingVersion": "0.5.0"}
AVRO = "application/vnd.apache.avro+json;version=1.9.0"
WIRE = "application/vnd.confluent.avro"  # the five bytes of the schema's id, then Avro
OPEN_STAGE = "event"
EMBEDDED = "127.0.0.1:{port}"  # the embedded stack picks a port
SASL = {"PLAIN": "plain", "SCRAM-SHA-256": "scramSha256", "SCRAM-SHA-512": "scramSha512",
        "GSSAPI": "gssapi"}  # fmt: skip
TRACE = {
    TRACEPARENT: {"type": "string", "description": "W3C trace context; goes on to what follows."},
    TRACESTATE: {
        "type": "string",
        "maxLength": 512,
        "description": "The same; passed on as it is.",
    },
}
LINEAGE = {
    "type": "string",
    "contentEncoding": "binary",
    "description": "Packed lineage: the record's number, processor, code and model version, and "
    "the ids of its parents. `doa trace` reads it.",
}


def document(topology: Topology, settings: Settings) -> dict[str, Any]:
    """The whole document, as plain data in an order that does not change."""
    topics = wishes(topology, settings.namespace)
    records = topology.records
    return {
        "asyncapi": VERSION,
        "info": {
            "title": ", ".join(topology.flows),
            "version": topology.code_version,
            "description": "Streams of doa: every flow between processors is a typed Kafka topic. "
            "Events may be sent by anybody; every other stream has one writer.",
        },
        "defaultContentType": WIRE,
        "servers": _servers(settings),
        "channels": {
            topic: _channel(record, topics[settings.prefix + topic], settings)
            for topic, record in records.items()
        },
        "operations": {
            name: operation
            for flow in topology.flows.values()
            for processor in flow.processors
            for name, operation in _operations(flow, processor, settings.prefix).items()
        },
        "components": {
            "messages": {topic: _described(record) for topic, record in records.items()},
            **_security(settings),
        },
    }


def _servers(settings: Settings) -> dict[str, Any]:
    secure = settings.security_protocol.endswith("SSL")
    common: dict[str, Any] = {"protocol": "kafka-secure" if secure else "kafka"}
    if settings.sasl_mechanism is not None:
        common["security"] = [{"$ref": "#/components/securitySchemes/sasl"}]
    if settings.registry_url is not None:
        registry = _without_credentials(settings.registry_url)
        common["bindings"] = {
            "kafka": {"schemaRegistryUrl": registry, "schemaRegistryVendor": "confluent", **BINDING}
        }
    if settings.bootstrap is None:
        told = "Of the embedded stack; `doa status` tells it."
        port = {"port": {"default": "9092", "description": told}}
        return {"embedded": {"host": EMBEDDED, "variables": port, **common}}
    hosts = [host.strip() for host in settings.bootstrap.split(",") if host.strip()]
    return {f"kafka{n}": {"host": host, **common} for n, host in enumerate(hosts)}


def _security(settings: Settings) -> dict[str, Any]:
    if settings.sasl_mechanism is None:
        return {}
    kind = SASL.get(settings.sasl_mechanism.upper(), "userPassword")
    return {"securitySchemes": {"sasl": {"type": kind}}}


def _without_credentials(url: str) -> str:
    """A URL as anybody may read it.

    >>> _without_credentials("https://me:secret@registry:8081/api?key=secret")
    'https://registry:8081/api'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _channel(record: RecordClass, wish: TopicWish, settings: Settings) -> dict[str, Any]:
    stream = stream_of(record)
    is_open = stream.stage == OPEN_STAGE
    tags = (stream.domain, stream.stage, f"owner:{stream.owner}")
    return {
        "address": wish.name,
        "title": record.__name__,
        "summary": avro_schema(record)["doc"],
        "description": "Open to any producer." if is_open else "Written by one processor alone.",
        "messages": {record.__name__: {"$ref": f"#/components/messages/{stream.topic}"}},
        "tags": [{"name": name} for name in tags],
        "bindings": {
            "kafka": {
                "topic": wish.name,
                "partitions": wish.partitions,
                "replicas": settings.replication_factor,
                "topicConfiguration": {
                    "cleanup.policy": wish.settings["cleanup.policy"].split(","),
                    "retention.ms": int(wish.settings["retention.ms"]),
                },
                **BINDING,
            }
        },
        "x-owner": stream.owner,
        "x-open": is_open,
    }


def _described(record: RecordClass) -> dict[str, Any]:
    """What is in a topic: key, value, headers."""
    stream, schema = stream_of(record), avro_schema(record)
    derived = stream.stage != OPEN_STAGE
    headers: dict[str, Any] = {"type": "object", "properties": TRACE}
    if derived:
        headers = {**headers, "properties": {HEADER: LINEAGE, **TRACE}, "required": [HEADER]}
    told = f"The field `{stream.key}` in UTF-8; it decides on the partition (murmur2)."
    return {
        "name": record.__name__,
        "title": record.__name__,
        "summary": schema["doc"],
        "contentType": WIRE,
        "headers": headers,
        "payload": {"schemaFormat": AVRO, "schema": schema},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": told},
                "schemaIdLocation": "payload",
                "schemaIdPayloadEncoding": "confluent",
                "schemaLookupStrategy": "TopicNameStrategy",
                **BINDING,
            }
        },
        "x-event-time": stream.event_time,
        "x-unique": stream.unique,
    }


def _operations(flow: Flow, processor: AnyProcessor, prefix: str) -> dict[str, Any]:
    edges = [("receive", record) for record in processor.reads]
    edges += [("send", record) for record in outputs_of(processor)]
    found = {}
    for action, record in edges:
        topic = stream_of(record).topic
        fetched = action == "receive" and record in flow.inputs
        group = {"groupId": {"type": "string", "const": prefix + flow.name}} if fetched else {}
        found[f"{flow.name}.{processor.name}.{action}.{topic}"] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{topic}"},
            "title": f"{processor.name} ({processor.kind})",
            **({"summary": processor.doc} if processor.doc else {}),
            "tags": [{"name": f"flow:{flow.name}"}],
            **({"bindings": {"kafka": {**group, **BINDING}}} if group else {}),
            "messages": [{"$ref": f"#/channels/{topic}/messages/{record.__name__}"}],
        }
    return found
