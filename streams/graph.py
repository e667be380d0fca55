"""The topology drawn: as text, mermaid or data. Journals, changelogs and the like are folded away
unless asked for.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

from streams.topology import Flow, Topology, outputs_of, stream_of


@dataclass(frozen=True)
class Edge:
    """A processor reads or writes a topic."""

    flow: str
    processor: str
    kind: str
    topic: str
    direction: str  # "reads" or "writes"
    records: int | None = None  # how many, where the graph was observed

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What it is: the same edge may be declared, and observed."""
        return self.flow, self.processor, self.direction, self.topic


def edges(topology: Topology, *, internal: bool = False) -> list[Edge]:
    """All edges, flow by flow, in the order in which a record walks."""
    found = []
    for flow in topology.flows.values():
        for processor in flow.processors:
            pairs = [(c, "reads") for c in processor.reads] + [
                (c, "writes") for c in outputs_of(processor)
            ]
            for record, direction in pairs:
                topic = stream_of(record).topic
                found.append(Edge(flow.name, processor.name, processor.kind, topic, direction))
        if internal:
            found += _internal(flow)
    return found


def as_text(drawn: list[Edge]) -> str:
    """A line per processor, what it reads before it and what it writes after it."""
    lines: list[str] = []
    for flow in dict.fromkeys(e.flow for e in drawn):
        lines.append(f"flow {flow}")
        names = dict.fromkeys((e.processor, e.kind) for e in drawn if e.flow == flow)
        for name, kind in names:
            own = [e for e in drawn if (e.flow, e.processor) == (flow, name)]
            lines.append(f"  {name} ({kind})")
            lines += [f"    <- {_target(e)}" for e in own if e.direction == "reads"]
            lines += [f"    -> {_target(e)}" for e in own if e.direction == "writes"]
    return "\n".join(lines)


def as_mermaid(drawn: list[Edge]) -> str:
    """A mermaid flowchart: streams are rounded, processors are boxes."""
    topics = {t: f"t{i}" for i, t in enumerate(dict.fromkeys(e.topic for e in drawn))}
    lines = ["flowchart LR"]
    lines += [f'  {key}(["{topic}"])' for topic, key in topics.items()]
    for flow in dict.fromkeys(e.flow for e in drawn):
        names = dict.fromkeys(e.processor for e in drawn if e.flow == flow)
        lines.append(f"  subgraph {_plain(flow)}")
        lines += [f'    {_plain(f"{flow}_{name}")}["{name}"]' for name in names]
        lines.append("  end")
    for edge in drawn:
        node = _plain(f"{edge.flow}_{edge.processor}")
        topic = topics[edge.topic]
        label = "" if edge.records is None else f"|{edge.records:,}|"
        lines.append(
            f"  {topic} -->{label} {node}"
            if edge.direction == "reads"
            else f"  {node} -->{label} {topic}"
        )
    return "\n".join(lines)


def differences(left: list[Edge], right: list[Edge]) -> tuple[list[Edge], list[Edge]]:
    """The edges of which only the left graph has one, and only the right."""
    known, found = {e.key for e in left}, {e.key for e in right}
    return [e for e in left if e.key not in found], [e for e in right if e.key not in known]


def as_data(topology: Topology, *, internal: bool = False) -> dict[str, object]:
    """Streams and edges as plain data."""
    return {
        "code_version": topology.code_version,
        "flows": {f.name: [p.name for p in f.processors] for f in topology.flows.values()},
        "streams": {
            topic: {
                "record": record.__name__,
                "doc": (record.__doc__ or "").strip(),
                **asdict(stream_of(record)),
            }
            for topic, record in topology.records.items()
        },
        "edges": [asdict(e) for e in edges(topology, internal=internal)],
    }


def _plain(name: str) -> str:
    """A name as mermaid takes it."""
    return re.sub(r"\W", "_", name)


def _target(edge: Edge) -> str:
    return edge.topic if edge.records is None else f"{edge.topic}  {edge.records:,} records"


def _internal(flow: Flow) -> list[Edge]:
    if not flow.steps:
        return [Edge(flow.name, "runtime", "runtime", flow.changelog, "writes")]
    reads = [flow.clock, flow.redrive, flow.control]
    writes = [flow.changelog, flow.journal, flow.dead_letter]
    return [
        *(Edge(flow.name, "runtime", "runtime", t, "reads") for t in reads),
        *(Edge(flow.name, "runtime", "runtime", t, "writes") for t in writes),
    ]
