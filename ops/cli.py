"""The command line `doa`: one group, a module per concern in `ops/commands`.

Exit codes: 0 done, 1 the answer is no, 2 usage, 3 a server cannot be reached.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from ops import INTERRUPTED
from ops.connect import NotConnected
from ops.output import say
from ops.stack import StackError
from streams.errors import BrokerError, RegistryError, StreamsError

NO, UNREACHABLE = 1, 3

COMMANDS = {
    "up": "ops.commands.stack:up",
    "down": "ops.commands.stack:down",
    "status": "ops.commands.stack:status",
    "apply": "ops.commands.cluster:apply_command",
    "reset": "ops.commands.cluster:reset_command",
    "worker": "ops.commands.work:worker",
    "control": "ops.commands.work:control",
    "demo": "ops.commands.demo:demo",
    "check": "ops.commands.look:check",
    "graph": "ops.commands.look:graph",
    "catalog": "ops.commands.catalog:catalog",
    "describe": "ops.commands.describe:describe",
    "tap": "ops.commands.tap:tap_command",
    "sql": "ops.commands.sql:sql",
    "export": "ops.commands.export:export_command",
    "trace": "ops.commands.trace:trace",
    "verify": "ops.commands.verify:verify",
    "backtest": "ops.commands.backtest:backtest",
    "index": "ops.commands.index:index_command",
    "model": "ops.commands.model:model",
    "dlq": "ops.commands.dlq:dlq",
    "schemas": "ops.commands.schemas:schemas",
    "chaos": "ops.commands.chaos:chaos",
    "bench": "ops.commands.bench:bench",
    "compile": "ops.commands.compiling:compile_command",
}


class Commands(click.Group):
    """Loads a command's module when it is used, so that `doa --help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; who reads its output may leave, as `head` does, and that is no fault."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # click would exit with 1
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the command."""
        import importlib

        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nFlows and topics complete in bash (or zsh, fish) after:\n"
    '  eval "$(_DOA_COMPLETE=bash_source doa)"',
)
@click.option(
    "--app",
    "packages",
    multiple=True,
    metavar="PACKAGE",
    help="Load the flows of another package too.",
)
@click.version_option(package_name="doa", prog_name="doa")
@click.pass_context
def doa(context: click.Context, packages: tuple[str, ...]) -> None:
    """Machine learning as explicit streams.

    Example: doa demo --flights 20000
    """
    context.obj = ("processors", *packages)


def main() -> Any:
    """The console script: errors of ours are one sentence and an exit code, never a traceback."""
    if "" not in sys.path:
        sys.path.insert(0, "")  # `--app` names packages of the folder the user is in
    try:
        code = doa.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Abort:
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except (NotConnected, BrokerError, RegistryError) as error:
        say(f"doa: {error}")
        sys.exit(UNREACHABLE)
    except (StreamsError, StackError) as error:
        say(f"doa: {error}")
        sys.exit(NO)
