"""doa up | down | status: the embedded Kafka and registry."""

from __future__ import annotations

import sys

import click

from ops.connect import home_of
from ops.output import OUTPUT, print_json, print_table, say
from ops.stack import Stack
from streams.settings import Settings
from streams.snapshot import Keys


@click.command()
@OUTPUT
def up(output: str) -> None:
    """Start Kafka and the schema registry on this machine; download them when needed.

    Example: doa up
    """
    home = home_of(Settings())
    endpoints = Stack(home).up()
    Keys.load_or_create(home / "keys.json")
    if output == "json":
        print_json({"bootstrap": endpoints.bootstrap, "registry_url": endpoints.registry_url})
    else:
        say("next: doa apply")


@click.command()
@click.option("--wipe", is_flag=True, help="Delete all data as well; asks on a terminal.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def down(wipe: bool, yes: bool) -> None:
    """Stop Kafka and the registry; data stays for the next `doa up`.

    Example: doa down
    """
    stack = Stack(home_of(Settings()))
    if wipe and not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("--wipe deletes all topics; say --yes where nobody can be asked")
        click.confirm("Delete all topics and schemas of this checkout?", abort=True, err=True)
    stopped = stack.down()
    if wipe:
        stack.wipe()
    say(
        ("stopped" if stopped else "was not running")
        + ("; data deleted" if wipe else "; data kept")
    )


@click.command()
@OUTPUT
def status(output: str) -> None:
    """Say whether Kafka and the registry run, where, and how large they are; exit 1 when they do
    not.

    Example: doa status -o json
    """
    found = Stack(home_of(Settings())).status()
    if output == "json":
        print_json(found.as_dict())
    else:
        shown = found.as_dict()
        servers = {k: v for k, v in shown.items() if isinstance(v, dict)}
        columns = list(next(iter(servers.values())))
        print_table(["server", *columns], [[name, *v.values()] for name, v in servers.items()])
    sys.exit(0 if found.up else 1)
