"""Streams, processors and runs as OpenLineage events, for catalogues such as Marquez or DataHub.

A stream is a dataset, a flow and each of its processors a job; what ran is told by the journal. Of
the run of other code than the one at hand only what its journal says is told: what it read. Which
field comes from which is not declared anywhere, so nothing is said of columns.

The library is imported here alone, and this module only where it is asked for.

References
----------
OpenLineage 2-0-2, https://openlineage.io/docs/spec/object-model
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import requests
from openlineage.client import event_v2 as events
from openlineage.client import facet_v2 as facets
from openlineage.client.serde import Serde
from openlineage.client.transport.http import (
    ApiKeyTokenProvider,
    HttpConfig,
    HttpTransport,
    TokenProvider,
)

from ops.connect import NotConnected
from ops.runs import Run
from schemas.derive import avro_schema
from streams.processor import RecordClass
from streams.topology import AnyProcessor, Flow, Topology, outputs_of, stream_of

PRODUCER = "urn:doa"
INTEGRATION = "DOA"
SEND_S = 10.0
RETRY = {"total": 2, "backoff_factor": 0.3, "allowed_methods": ["POST"]}
UNNAMED = "doa"  # of jobs, where the streams have no namespace


class Teller:
    """Says everything of one system: `broker` is host:port, `namespace` that of its streams."""

    def __init__(self, topology: Topology, broker: str, namespace: str = "") -> None:
        self._topology = topology
        self._place = f"kafka://{broker}"
        self._namespace = namespace or UNNAMED
        self._prefix = f"{namespace}." if namespace else ""

    def declared(self, at_ms: int) -> Iterator[Any]:
        """An event for each stream, each flow and each processor, as of a time."""
        common = {"eventTime": _instant(at_ms), "producer": PRODUCER}
        for record in self._topology.records.values():
            found = events.StaticDataset(*self._named(stream_of(record).topic))
            found.facets = _about_stream(record)
            yield events.DatasetEvent(dataset=found, **common)
        for flow in self._topology.flows.values():
            reads, writes = _topics(flow.inputs), _topics(flow.written)
            yield events.JobEvent(
                job=self._flow(flow), inputs=self._inputs(reads), outputs=self._outputs(writes),
                **common,
            )  # fmt: skip
            for processor in flow.processors:
                reads, writes = _topics(processor.reads), _topics(outputs_of(processor))
                yield events.JobEvent(
                    job=self._processor(flow, processor),
                    inputs=self._inputs(reads),
                    outputs=self._outputs(writes),
                    **common,
                )

    def ran(self, run: Run) -> Iterator[Any]:
        """How a run began, and how it ended, or goes on and what it has taken; the same of its
        processors.
        """
        flow = self._topology.flows[run.flow]
        known = run.code_version == self._topology.code_version
        taken = {topic: n for topic, n in run.taken.items() if topic in self._topology.records}
        writes = _topics(flow.written) if known else []
        own = events.Run(self._identity(run.name), _about_run(run))
        ways = [(own, self._flow(flow), list(taken), writes)]
        for processor in flow.steps if known else ():
            about = _about_run(run) | {"parent": self._parent(own.runId, flow)}
            ways.append(
                (
                    events.Run(self._identity(f"{run.name} {processor.name}"), about),
                    self._processor(flow, processor),
                    _topics(processor.reads),
                    _topics(outputs_of(processor)),
                )
            )
        ended = events.RunState.COMPLETE if run.superseded else events.RunState.RUNNING
        for state, at_ms, counts in (
            (events.RunState.START, run.began_ms, {}),
            (ended, run.ended_ms, taken),
        ):
            for one, work, reads, writes in ways:
                yield events.RunEvent(
                    eventType=state,
                    eventTime=_instant(at_ms),
                    producer=PRODUCER,
                    run=one,
                    job=work,
                    inputs=self._inputs(reads, counts),
                    outputs=self._outputs(writes),
                )

    def _identity(self, name: str) -> str:
        """The id of a run: the same whoever makes it, and whenever."""
        return str(uuid5(NAMESPACE_URL, f"{PRODUCER}:{self._place}/{self._prefix}{name}"))

    def _named(self, topic: str) -> tuple[str, str]:
        return self._place, self._prefix + topic

    def _inputs(self, topics: Iterable[str], taken: dict[str, int] | None = None) -> list[Any]:
        found = [events.InputDataset(*self._named(topic)) for topic in topics]
        for one, topic in zip(found, topics, strict=True):
            if taken and topic in taken:
                statistics = facets.input_statistics_input_dataset.InputStatisticsInputDatasetFacet
                one.inputFacets = {"inputStatistics": statistics(rowCount=taken[topic], **_BY)}
        return found

    def _outputs(self, topics: Iterable[str]) -> list[Any]:
        return [events.OutputDataset(*self._named(topic)) for topic in topics]

    def _flow(self, flow: Flow) -> Any:
        return events.Job(self._namespace, flow.name, _about_kind("FLOW"))

    def _processor(self, flow: Flow, processor: AnyProcessor) -> Any:
        about = _about_kind(processor.kind.upper())
        if processor.doc:
            documentation = facets.documentation_job.DocumentationJobFacet
            about["documentation"] = documentation(" ".join(processor.doc.split()), **_BY)
        return events.Job(self._namespace, f"{flow.name}.{processor.name}", about)

    def _parent(self, identity: str, flow: Flow) -> Any:
        parent = facets.parent_run
        return parent.ParentRunFacet(
            parent.Run(identity), parent.Job(self._namespace, flow.name), **_BY
        )


def line(event: Any) -> str:
    """An event as one line of JSON, its keys sorted."""
    return json.dumps(Serde.to_dict(event), sort_keys=True)


def send(told: Iterable[Any], url: str) -> None:
    """Send events to whoever takes them at a URL, in order; NotConnected says which was refused."""
    key = os.environ.get("OPENLINEAGE_API_KEY")
    auth = ApiKeyTokenProvider({"apiKey": key}) if key else TokenProvider({})
    way = HttpTransport(HttpConfig(url, auth=auth, timeout=SEND_S, retry=RETRY))
    for number, event in enumerate(told):
        try:
            way.emit(event)
        except requests.RequestException as error:
            raise NotConnected(
                f"{way.url} took {number} events and not the next, {type(error).__name__}: "
                f"{error}; sent again they are the same"
            ) from error
    way.close()


_BY: dict[str, Any] = {"producer": PRODUCER}


def _topics(records: Iterable[RecordClass]) -> list[str]:
    return [stream_of(record).topic for record in records]


def _about_kind(kind: str) -> dict[str, Any]:
    facet = facets.job_type_job.JobTypeJobFacet
    return {"jobType": facet("STREAMING", INTEGRATION, kind, **_BY)}


def _about_run(run: Run) -> dict[str, Any]:
    told = [("code_version", run.code_version), ("journal", ", ".join(run.places))]
    tag = facets.tags_run.TagsRunFacetFields
    engine = facets.processing_engine_run.ProcessingEngineRunFacet
    return {
        "processing_engine": engine(version("doa"), "doa", **_BY),
        "tags": facets.tags_run.TagsRunFacet(
            [tag(name, value, INTEGRATION) for name, value in told], **_BY
        ),
        **_settings(run),
    }


def _settings(run: Run) -> dict[str, Any]:
    """Those that were last in force, of the ones that differ from their defaults; nothing where its
    journal does not say.
    """
    if not run.settings:
        return {}
    parameters = facets.execution_parameters_run
    told = [parameters.ExecutionParameter(n, value=v) for n, v in run.settings[-1].items()]
    return {"executionParameters": parameters.ExecutionParametersRunFacet(told, **_BY)}


def _about_stream(record: RecordClass) -> dict[str, Any]:
    stream, schema = stream_of(record), avro_schema(record)
    tag = facets.tags_dataset.TagsDatasetFacetFields
    marked = [
        tag("sensitivity", one["sensitivity"], INTEGRATION, one["name"])
        for one in schema["fields"]
        if "sensitivity" in one
    ]
    owner = facets.ownership_dataset
    return {
        "schema": facets.schema_dataset.SchemaDatasetFacet(_fields(schema), **_BY),
        "documentation": facets.documentation_dataset.DocumentationDatasetFacet(
            schema["doc"], **_BY
        ),
        "ownership": owner.OwnershipDatasetFacet([owner.Owner(stream.owner)], **_BY),
        "datasetType": facets.dataset_type_dataset.DatasetTypeDatasetFacet(
            "TOPIC", subType=stream.stage.upper(), **_BY
        ),
        **({"tags": facets.tags_dataset.TagsDatasetFacet(marked, **_BY)} if marked else {}),
    }


def _fields(schema: dict[str, Any]) -> list[Any]:
    found = []
    for place, one in enumerate(schema["fields"], 1):
        kind, nested = _kind(one["type"])
        facet = facets.schema_dataset.SchemaDatasetFacetFields
        unit = f" Unit: {one['unit']}." if "unit" in one else ""
        found.append(facet(one["name"], kind, one["doc"] + unit, place, nested))
    return found


def _kind(kind: Any) -> tuple[str, list[Any]]:
    """An Avro type in words, and the fields of the record that it holds."""
    if isinstance(kind, str):
        return kind, []
    if isinstance(kind, list):
        branches = [_kind(branch) for branch in kind]
        return " | ".join(text for text, _ in branches), [f for _, some in branches for f in some]
    match kind["type"]:
        case "record":
            return kind["name"], _fields(kind)
        case "array" | "map":
            inner, nested = _kind(kind["items" if kind["type"] == "array" else "values"])
            return f"{kind['type']}<{inner}>", nested
        case plain:
            return kind.get("logicalType", plain), []


def _instant(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1_000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
