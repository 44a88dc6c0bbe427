"""Makes the checkout's `.venv` and keeps its packages as pyproject.toml says. Touches nothing else."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tomllib
from typing import TYPE_CHECKING

from ashibar.setup import apt
from ashibar.setup.python import new_enough, version_of
from ashibar.setup.say import SetupError, say

if TYPE_CHECKING:
    from pathlib import Path

# `test` brings all that `demo` needs, so a demo after a test installs nothing.
COVERS = {"demo": ("demo", "test"), "test": ("test",)}


def _fingerprint(root: Path, python: Path) -> str:
    pyproject = hashlib.sha256((root / "pyproject.toml").read_bytes()).hexdigest()
    return f"{pyproject} {version_of(str(python))} {root}"


def _current(root: Path, extra: str, python: Path) -> bool:
    if not python.exists():
        return False
    wanted = _fingerprint(root, python)
    stamps = (root / ".venv" / ("ashibar-" + name) for name in COVERS[extra])
    return any(stamp.exists() and stamp.read_text(encoding="utf-8") == wanted for stamp in stamps)


def prepare(root: Path, extra: str, base_python: str) -> None:
    """Make or update `.venv` with the package itself and one extra. Returns at once if nothing changed."""
    python = root / ".venv" / "bin" / "python"
    if _current(root, extra, python):
        return
    if not new_enough(version_of(str(python))) or not _has_pip(python):
        _create(root, base_python)
    say("installing the Python packages of pyproject.toml into .venv (downloads up to 150 MB the first time)")
    command = [
        str(python),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "-q",
        "-e",
        f".[{extra}]",
    ]
    if subprocess.run(command, cwd=root, check=False).returncode:
        raise SetupError(
            "pip could not install the packages (its own words stand above); try again: " + " ".join(command)
        )
    (root / ".venv" / ("ashibar-" + extra)).write_text(_fingerprint(root, python), encoding="utf-8")


def prepare_typings(root: Path) -> None:
    """Put the types of the ESP32's own modules into `.tools/typings`, where the firmware's check looks."""
    with (root / "pyproject.toml").open("rb") as stream:
        wanted = tomllib.load(stream)["project"]["optional-dependencies"]["firmware-types"]
    folder, stamp = root / ".tools" / "typings", root / ".tools" / "typings-installed"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == "\n".join(wanted) and folder.is_dir():
        return
    say("fetching the types of the firmware's modules into .tools/typings")
    shutil.rmtree(folder, ignore_errors=True)
    python = str(root / ".venv" / "bin" / "python")
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", "-q", "--no-deps", "--target"]
    if subprocess.run([*command, str(folder), *wanted], check=False).returncode:
        raise SetupError("pip could not fetch the types (its own words stand above); try again: make check")
    stamp.write_text("\n".join(wanted), encoding="utf-8")


def _has_pip(python: Path) -> bool:
    return (
        subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True, check=False).returncode
        == 0
    )


def _has_module(python: str, module: str) -> bool:
    return (
        subprocess.run([python, "-c", "import " + module], capture_output=True, check=False).returncode == 0
    )


def _create(root: Path, base_python: str) -> None:
    say("making the Python environment .venv with " + base_python)
    whole = _has_module(base_python, "ensurepip") and _has_module(base_python, "venv")
    if not whole and apt.debian_like() and apt.is_root():
        if not apt.available("python3-venv"):
            apt.update_lists()
        apt.install_system_wide(["python3-venv"])
        whole = _has_module(base_python, "ensurepip")
    options = [] if whole else ["--without-pip"]
    made = subprocess.run([base_python, "-m", "venv", "--clear", *options, str(root / ".venv")], check=False)
    if made.returncode:
        raise SetupError(
            "this Python cannot make environments; install its venv module: sudo apt-get install python3-venv"
        )
    if not whole:
        _bring_pip(root)


def _bring_pip(root: Path) -> None:
    """Give an environment made without pip the pip that Debian packages for this very purpose."""
    if not apt.debian_like():
        raise SetupError(
            "this Python has no ensurepip; install it with the system's package manager and try again"
        )
    say("fetching pip privately into .tools (package python3-pip-whl; nothing is installed system-wide)")
    home = root / ".tools" / "pip"
    try:
        with apt.PrivateApt(home, None) as private:
            tree = private.unpack(["python3-pip-whl"])
        wheel = next(tree.glob("usr/share/python-wheels/pip-*.whl"))
        python = root / ".venv" / "bin" / "python"
        subprocess.run(
            [
                str(python),
                str(wheel) + "/pip",
                "install",
                "-q",
                "--no-index",
                "--find-links",
                str(wheel.parent),
                "pip",
            ],
            check=True,
        )
    except (SetupError, StopIteration, subprocess.SubprocessError) as error:
        raise SetupError(
            f"no pip for the environment ({error}); sudo apt-get install python3-venv"
        ) from error
    finally:
        shutil.rmtree(home, ignore_errors=True)
