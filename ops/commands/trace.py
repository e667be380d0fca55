"""doa trace: where a record came from."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
from rich.text import Text
from rich.tree import Tree

from ops.commands.index import up_to_date
from ops.connect import connect, home_of
from ops.outlined import outlined
from ops.output import console, plain, print_json, say
from ops.sensitive import SENSITIVE
from streams.finder import Finder, parse_id
from streams.outline import Outline
from streams.topology import discover, stream_of
from streams.trace import Node, Trace, Tracer
from streams.trace_context import context_of


@click.command("trace")
@click.argument("record", metavar="ID")
@click.option(
    "--up", "direction", flag_value="up", default=True, help="What it came from. [default]"
)
@click.option("--down", "direction", flag_value="down", help="What followed from it.")
@click.option("--depth", type=click.IntRange(1), help="So many steps only. [to the events]")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "mermaid"]),
    default="table",
    help="How to print the result.",
)
@SENSITIVE
@click.pass_obj
def trace(
    packages: tuple[str, ...],
    record: str,
    direction: str,
    depth: int | None,
    output: str,
    sensitive: bool,
) -> None:
    """Show what the record ID was made from: its parents, theirs, to the raw events, each with the
    processor that wrote it, the version of its code, its schema and its model. Or, with --down,
    all that was made from it; for that the headers of all streams are read once (see `doa index`).

    ID is topic[partition]#n, or topic[partition]@offset. Quote it.

    Example: doa trace 'flights.prediction.departed[0]#17'
    """
    connection = connect()
    outline = outlined(packages, home_of(connection.settings))
    view = connection.view(outline, sensitive=sensitive)
    root = parse_id(record, connection.settings.prefix)
    with closing(connection.cluster.log()) as log:
        finder = Finder(log, connection.settings.prefix)
        tracer = Tracer(outline, finder, view)
        if direction == "up":
            found = tracer.up(root, depth)
        else:
            with up_to_date(connection, discover(packages)) as index:
                found = tracer.down(root, index.file, depth)
    if output == "json":
        print_json({"direction": direction, **_document(found)})
    elif output == "mermaid":
        click.echo(_mermaid(found))
    else:
        console().print(_tree(found, outline, direction))
    if found.cut:
        say(f"{found.cut} records were not followed further; trace one of them")


def _document(trace: Trace) -> dict[str, Any]:
    nodes = {}
    for node in trace.nodes.values():
        shown = {} if node.shown is None else asdict(node.shown)
        head = {"kind": node.kind, "count": node.count, "missing": node.missing}
        learnt = {"learnt": str(node.reference)} if node.kind == "model" else {}
        nodes[node.id] = head | learnt | shown
    links = [asdict(link) for link in trace.links]
    return {"id": trace.root, "nodes": nodes, "links": links, "cut": trace.cut}


def _mermaid(trace: Trace) -> str:
    names = {node: f"n{i}" for i, node in enumerate(trace.nodes)}
    lines = ["flowchart RL"]
    for node in trace.nodes.values():
        left, right = {"event": ("([", "])"), "model": ("[[", "]]")}.get(node.kind, ("[", "]"))
        lines.append(f'  {names[node.id]}{left}"{node.id.replace("#", "#35;")}"{right}')
    lines += [f"  {names[link.child]} --> {names[link.parent]}" for link in trace.links]
    return "\n".join(lines)


def _tree(trace: Trace, outline: Outline, direction: str) -> Tree:
    """The graph as a tree: what was shown before is named again, but not what hangs on it."""
    ends: dict[str, list[str]] = {}
    for link in trace.links:
        near, far = (link.child, link.parent) if direction == "up" else (link.parent, link.child)
        ends.setdefault(near, []).append(far)
    tree = Tree(Text(_line(trace.nodes[trace.root], outline)))
    waiting = [(tree, name) for name in reversed(ends.get(trace.root, ()))]
    told = {trace.root}
    while waiting:
        branch, name = waiting.pop()
        again = name in told and name in ends
        line = _line(trace.nodes[name], outline)
        below = branch.add(Text(f"{line}  (as above)" if again else line))
        if name not in told:
            told.add(name)
            waiting += [(below, end) for end in reversed(ends.get(name, ()))]
    return tree


def _line(node: Node, outline: Outline) -> str:
    """What a person wants to know of a record at first sight."""
    if node.missing is not None:
        return f"{node.id}  ({node.missing})"
    if node.kind == "model":
        return f"{node.id}  learnt {node.reference}"
    if node.shown is None:
        return f"{node.id}  {node.count:,} records"
    shown, told = node.shown, [node.id]
    told.append(shown.key or "-")
    record = outline.records.get(node.reference.topic)
    if record is not None and shown.value is not None:
        told.append(_instant(shown.value.get(stream_of(record).event_time)))
    if shown.processor is not None:
        told.append(f"by {shown.processor}, code {shown.code_version}")
    if node.kind == "dead letter":
        told.append(f"{shown.headers['error.class']}: {shown.headers.get('error.message', '')}")
    if shown.schema_id is not None:
        told.append(f"schema {shown.schema_id}")
    context = context_of({name: text.encode() for name, text in shown.headers.items()})
    if context is not None:
        told.append(f"trace {context.trace_id.decode()}")
    if shown.error is not None:
        told.append(f"({shown.error})")
    return plain("  ".join(told))


def _instant(at_ms: Any) -> str:
    if not isinstance(at_ms, int):
        return plain(at_ms)
    try:
        return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):  # of an event that was refused for it
        return str(at_ms)
