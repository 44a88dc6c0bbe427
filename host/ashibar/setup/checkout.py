"""Brings one checkout to one stage: environment, programs, files of the page; one setup at a time."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

from ashibar.setup import environment, programs
from ashibar.setup.say import SetupError, say

ROOT = Path(__file__).resolve().parents[3]


def prepare(stage: str, python: str, root: Path = ROOT) -> int:
    """Prepare the checkout; 0 when it is ready, 1 with the reason said when it is not."""
    (root / ".tools").mkdir(exist_ok=True)
    try:
        with (root / ".tools" / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            environment.prepare(root, "demo" if stage == "demo" else "test", python)
            if stage != "demo":
                environment.prepare_typings(root)
            if stage != "check":
                programs.report(stage, programs.prepare(root, stage), root)
                _build_page(root, required=stage == "test")
    except SetupError as error:
        say(str(error))
        return 1
    return 0


def _build_page(root: Path, *, required: bool) -> None:
    """Bring in the page's third-party files; without them the live page works and review charts do not."""
    done = subprocess.run([str(root / ".venv/bin/python"), "-m", "ashibar.web.build"], cwd=root, check=False)
    if done.returncode and required:
        raise SetupError(
            "the page's files could not be built (reason above): .venv/bin/python -m ashibar.web.build"
        )
    if done.returncode:
        say("the page's chart files could not be built; the live page works without them")
