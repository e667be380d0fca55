"""Whether a topology can work: what is wrong with it, a sentence each, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.record import TOPIC_PATTERN
from streams.errors import TopologyError
from streams.topology import AnyProcessor, Flow, Topology, edges_of, outputs_of, stream_of

KEPT_NAMES = ("seen", "unit")


def validate(topology: Topology) -> list[str]:
    """What is wrong with a topology, a sentence each:

    1. every record that is read or written declares a stream with a valid topic, key and event
    time;
    2. every derived topic has exactly one writing processor, and only sources write event topics;
    3. a flow reads from outside itself event topics only;
    4. the processors of a flow share their key;
    5. tables have keys that their records have, and state that is no stream;
    6. names are unique, across flows too, so are their four-byte codes, and none is one that the
    changelog uses, or holds the slash that parts them there;
    7. nothing is kept longer than what it is derived from;
    8. tolerances name processors of their flow, and numbers that can be reached.
    """
    problems: list[str] = []
    for flow in topology.flows.values():
        for processor in flow.processors:
            problems += _stream_problems(processor)
            problems += _table_problems(processor)
        if not problems:
            problems += [
                *_edge_problems(topology, flow),
                *_key_problems(flow),
                *_retention_problems(flow),
                *_tolerance_problems(flow),
            ]
    try:
        problems += [] if problems else _name_problems(topology)
    except ValueError as error:
        problems.append(str(error))
    return problems


def checked(topology: Topology) -> Topology:
    """The topology itself if nothing is wrong with it; else TopologyError."""
    problems = validate(topology)
    if problems:
        raise TopologyError("; ".join(problems))
    return topology


def _stream_problems(processor: AnyProcessor) -> Iterator[str]:
    for record in edges_of(processor):
        if record.stream is None:
            yield f"{processor.name} reads or writes {record.__name__}, which declares no stream"
            continue
        stream = record.stream
        if not TOPIC_PATTERN.fullmatch(stream.topic):
            yield f"{record.__name__}: topic {stream.topic!r} is not <domain>.<stage>.<noun>"
        for role, name, kind in (("key", stream.key, str), ("event time", stream.event_time, int)):
            declared = record.model_fields.get(name)
            if declared is None or declared.annotation is not kind:
                yield (
                    f"{record.__name__}: its {role} {name!r} must be a field "
                    f"of type {kind.__name__}"
                )


def _table_problems(processor: AnyProcessor) -> Iterator[str]:
    for table in getattr(processor, "tables", ()):
        where = f"{processor.name}.{table.name}"
        if "/" in where:
            yield f"{where}: the changelog parts names by slashes; choose names without"
        if table.expires is not None and table.expires < 1:
            yield f"{where}: its entries expire after {table.expires} ms; 1 or more was expected"
        if table.state.stream is not None:
            state = table.state.__name__
            yield f"{where}: its state {state} is a stream; declare a class without one"
        for record in table.touched_by:
            if record not in processor.reads:
                yield (
                    f"{where} is touched by {record.__name__}, which {processor.name} does not read"
                )
            for name in table.key:
                if name not in record.model_fields:
                    yield f"{where}: {record.__name__} has no field {name!r} to be its key"


def _edge_problems(topology: Topology, flow: Flow) -> Iterator[str]:
    inputs = set(flow.inputs)
    for processor in flow.processors:
        for record in outputs_of(processor):
            stream = stream_of(record)
            writers = topology.writers(record)
            if stream.stage != "event" and len(writers) > 1 and writers[0][1] is processor:
                names = ", ".join(p.name for _, p in writers)
                yield f"{stream.topic} has several writers ({names}); a derived stream has one"
            if stream.stage == "event" and processor.kind != "source":
                yield f"{processor.name} writes the event topic {stream.topic}; only sources may"
        for record in processor.reads:
            if record in inputs and stream_of(record).stage != "event":
                topic = stream_of(record).topic
                yield f"{processor.name} reads {topic}, which flow {flow.name} does not write"


def _key_problems(flow: Flow) -> Iterator[str]:
    keys: dict[str, AnyProcessor] = {}
    for processor in flow.steps:
        for record in edges_of(processor):
            if stream_of(record).stage != "model":
                keys.setdefault(stream_of(record).key, processor)
    first, *others = keys or ("",)
    for key in others:
        yield (
            f"{keys[key].name} has a stream keyed by {key!r}, "
            f"the others of flow {flow.name} by {first!r}; "
            "put it in a flow of its own"
        )


def _retention_problems(flow: Flow) -> Iterator[str]:
    kept = min((stream_of(c).retention_days for c in flow.inputs), default=None)
    for record in flow.written if kept is not None else ():
        stream = stream_of(record)
        if kept is not None and stream.retention_days > kept:
            yield f"{stream.topic} is kept {stream.retention_days} days, its inputs only {kept}"


def _tolerance_problems(flow: Flow) -> Iterator[str]:
    names = {None, "", *(p.name for p in flow.steps)}
    for tolerance in flow.tolerances:
        if tolerance.processor not in names:
            yield f"flow {flow.name} tolerates letters of {tolerance.processor!r}, which it lacks"
        if not 0 <= tolerance.letters < tolerance.records:
            yield (
                f"flow {flow.name} tolerates {tolerance.letters} letters among "
                f"{tolerance.records} records; fewer letters than records were expected"
            )


def _name_problems(topology: Topology) -> Iterator[str]:
    list(topology.names)  # ValueError names two that share a code
    owners: dict[str, str] = {}
    for flow in topology.flows.values():
        seen: set[str] = set()
        for processor in flow.processors:
            owner = owners.setdefault(processor.name, flow.name)
            if owner != flow.name:
                yield (
                    f"flows {owner} and {flow.name} both have a processor called "
                    f"{processor.name!r}; records name only the processor"
                )
            if processor.name in KEPT_NAMES:
                yield f"no processor can be called {processor.name!r}: the changelog uses that name"
            if processor.name in seen:
                yield f"flow {flow.name} has two processors called {processor.name!r}"
            seen.add(processor.name)
