"""doa catalog: which streams there are, and all about one."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import click

from ops.alike import BY_NAME, Alike, alike, computed
from ops.catalog import declared, fields_of, live, search
from ops.complete import topics
from ops.connect import NotConnected, connect
from ops.output import OUTPUT, plain, print_json, print_table, say
from ops.schema_changes import sentence, versions
from ops.sensitive import SENSITIVE
from streams.settings import Settings
from streams.topology import Topology, discover
from streams.validation import checked

SHOW, FIELD = "show", "field"
FIELDS_SHOWN = 6


@click.command("catalog")
@click.argument(
    "words", nargs=-1, metavar="[QUERY | show TOPIC | field NAME]", shell_complete=topics
)
@SENSITIVE
@OUTPUT
@click.pass_obj
def catalog(
    packages: tuple[str, ...], words: tuple[str, ...], sensitive: bool, output: str
) -> None:
    """Find streams by words of their names, meanings, owners and fields, without a cluster; exit 1
    if there are none. Or show all about one: fields, and where there are others like them, who
    writes and reads it, which models it reaches; and, where a cluster runs, its versions with whom
    their changes break, rate, age and last records. Or say who computes a field already, and which
    models it reaches; exit 1 if nobody does.

    Example: doa catalog late hour
    """
    topology = checked(discover(packages))
    if words[:1] == (SHOW,):
        if len(words) != len((SHOW, "TOPIC")):
            raise click.UsageError("name one stream: doa catalog show flights.feature.planned")
        topic = words[1].removeprefix(Settings().prefix)
        facts = declared(topology, topic)
        for fact, one in zip(facts["fields"], fields_of(topology.records[topic]), strict=True):
            fact["alike"] = [asdict(other) for other in alike(topology, topic, one)]
        try:
            facts |= _live(topology, topic, sensitive=sensitive)
        except NotConnected as error:
            say(f"only what is declared: {error}")
        _tell(facts, output)
        return
    if words[:1] == (FIELD,):
        if len(words) != len((FIELD, "NAME")):
            raise click.UsageError("name one field: doa catalog field departure_late_share")
        sys.exit(_tell_field(computed(topology, words[1]), words[1], output))
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
    found = live(connection, connection.view(topology, sensitive=sensitive), topic)
    return found | {"versions": list(versions(connection, topology, topology.records[topic]))}


def _tell_field(found: list[Alike], name: str, output: str) -> int:
    """Print who computes a field; the exit code."""
    if output == "json":
        print_json({"fields": [asdict(one) for one in found]})
    elif found:
        columns = ["field", "stream", "unit", "written by", "taken from", "models", "meaning"]
        rows = []
        for one in found:
            lists = (one.written_by, one.taken_from, one.models)
            told = [", ".join(names) or None for names in lists]
            rows.append((one.field, one.topic, one.unit, *told, one.doc))
        print_table(columns, rows)
    else:
        say(f"no processor computes {name!r}: it is of events alone, or says which record it is")
    return 0 if found else 1


def _also(found: list[dict[str, Any]]) -> str:
    """Other streams with the same; a field of another name and the same meaning with its name."""
    told = [f["topic"] if f["by"] == BY_NAME else f"{f['topic']}.{f['field']}?" for f in found]
    return ", ".join(told)


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
        ["field", "type", "unit", "sensitivity", "meaning", "also in"],
        [
            (f["name"], f["kind"], f["unit"], f["sensitivity"], f["doc"], _also(f["alike"]))
            for f in facts["fields"]
        ],
    )
    for version in facts.get("versions", ()):
        schema = "not applied" if version["schema_id"] is None else f"schema {version['schema_id']}"
        click.echo(f"version {version['version']}: {schema}")
        for change in version["changes"]:
            click.echo(f"  {plain(sentence(change))}")
    for sample in facts.get("samples", ()):
        click.echo("  ".join(f"{name}={plain(value)}" for name, value in sample.items()))
