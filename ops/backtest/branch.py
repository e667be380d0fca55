"""Running a command of ours with the code of another commit, in a worktree of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ops.backtest.change import BadChange

ROOT = Path(__file__).parents[2]
MASKING = Path("ops", "backtest", "seen.py")
GIT_S_MAX = 120.0


def run_at(commit: str, arguments: Sequence[str], home: Path, root: Path = ROOT) -> int:
    """Run `doa` with these arguments on the code of a commit, against the same stack; its exit
    code. BadChange if there is no such commit, or if its code has no backtest, or one that masks
    nothing.
    """
    with _worktree(commit, root) as folder:
        if not (folder / MASKING).is_file():
            raise BadChange(f"the code of {commit} has no doa backtest yet that masks; rebase it")
        command = [sys.executable, "-m", "ops", *arguments]
        environment = {**os.environ, "DOA_HOME": str(home)}
        with subprocess.Popen(command, cwd=folder, env=environment) as running:
            try:
                return running.wait()
            except KeyboardInterrupt:  # it has heard it, too
                running.wait()
                raise


@contextmanager
def _worktree(commit: str, root: Path) -> Iterator[Path]:
    """A worktree of a commit, for as long as it is needed."""
    name = f"{commit}^{{commit}}"
    found = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", name)
    if found.returncode != 0:
        raise BadChange(
            f"{commit!r} is no setting (MODULE.NAME=VALUE), no module that can be imported, "
            "and no commit or branch"
        )
    with tempfile.TemporaryDirectory(prefix="doa-backtest-") as parent:
        folder = Path(parent) / "code"
        try:
            made = _git(root, "worktree", "add", "--detach", str(folder), found.stdout.strip())
            if made.returncode != 0:
                raise BadChange(f"git worktree: {made.stderr.strip()}")
            yield folder
        finally:
            _git(root, "worktree", "remove", "--force", str(folder))


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=GIT_S_MAX,
            check=False,
        )
    except FileNotFoundError as error:
        raise BadChange("a branch wants git, which is not installed") from error
    except subprocess.TimeoutExpired as error:
        command = " ".join(arguments[:2])
        raise BadChange(
            f"git {command} has not ended within {GIT_S_MAX:.0f} s; try it by hand in {root}"
        ) from error
