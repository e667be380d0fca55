"""doa catalog: which streams there are, and all about one."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import click

from ops.catalog import declared, live, search
from ops.complete import topics
from ops.connect import NotConnected, connect
from ops.output import OUTPUT, plain, print_json, print_table, say
from ops.sensitive import SENSITIVE
from streams.settings import Settings
from streams.topology import Topology, discover
from streams.validation import checked

SHOW = "show"
FIELDS_SHOWN = 6


@click.command("catalog")
@click.argument("words", nargs=-1, metavar="[QUERY | show TOPIC]", shell_complete=topics)
@SENSITIVE
@OUTPUT
@click.pass_obj
def catalog(
    packages: tuple[str, ...], words: tuple[str, ...], sensitive: bool, output: str
) -> None:
    """Find streams by words of their names, meanings, owners and fields, without a cluster; exit 1
    if there are none. Or show all about one: fields, who writes and reads it, which models it
    reaches; and, where a cluster runs, its versions, rate, age and last records.

    Example: doa catalog late hour
    """
    topology = checked(discover(packages))
    if words[:1] == (SHOW,):
        if len(words) != len((SHOW, "TOPIC")):
            raise click.UsageError("name one stream: doa catalog show flights.feature.planned")
        topic = words[1].removeprefix(Settings().prefix)
        facts = declared(topology, topic)
        try:
            facts |= _live(topology, topic, sensitive=sensitive)
        except NotConnected as error:
            say(f"only what is declared: {error}")
        _tell(facts, output)
        return
    hits = search(topology, " ".join(words))
    if output == "json":
        print_json({"streams": [asdict(hit) for hit in hits]})
    elif hits:
        rows = [(h.topic, h.doc, ", ".join(h.fields[:FIELDS_SHOWN]), h.owner) for h in hits]
        print_table(["stream", "meaning", "found in", "owner"], rows)
    else:
        say(f"no stream is about {' '.join(words)!r}; all of them: doa catalog")
    sys.exit(0 if hits else 1)


def _live(topology: Topology, topic: str, *, sensitive: bool) -> dict[str, Any]:
    connection = connect()
    return live(connection, connection.view(topology, sensitive=sensitive), topic)


def _tell(facts: dict[str, Any], output: str) -> None:
    if output == "json":
        print_json(facts)
        return
    tables = ("fields", "versions", "samples")
    for name, value in facts.items():
        if name not in tables:
            told = "\n  ".join(value) if isinstance(value, list) else plain(value)
            click.echo(f"{name}: {told or '-'}")
    print_table(
        ["field", "type", "unit", "sensitivity", "meaning"],
        [(f["name"], f["kind"], f["unit"], f["sensitivity"], f["doc"]) for f in facts["fields"]],
    )
    for version in facts.get("versions", ()):
        added = f", added {', '.join(version['added'])}" if version["added"] else ""
        removed = f", removed {', '.join(version['removed'])}" if version["removed"] else ""
        click.echo(f"version {version['version']}: schema {version['schema_id']}{added}{removed}")
        for reason in version["breaks"]:
            click.echo(f"  {', '.join(facts['read_by']) or 'no reader'}: {reason}")
    for sample in facts.get("samples", ()):
        click.echo("  ".join(f"{name}={plain(value)}" for name, value in sample.items()))
