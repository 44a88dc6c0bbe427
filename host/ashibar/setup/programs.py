"""Provides the tools: by apt as root, unpacked privately as anybody else, or by a word of what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ashibar.setup import apt
from ashibar.setup.say import SetupError, say
from ashibar.setup.tools import TOOLS, Tool, find, present, private_bin, remedy
from ashibar.setup.wrappers import write_wrapper

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def prepare(root: Path, stage: str) -> list[Tool]:
    """Provide the tools the stage wants, as far as system and user allow; returns what is still missing."""
    ways: list[Callable[[Path, list[Tool]], None]] = []
    if apt.debian_like():
        ways = [_install if apt.is_root() else _unpack_same_release, _unpack_other_release]
    missing = _missing(root, stage)
    for way in ways:
        if missing:
            try:
                way(root, missing)
            except SetupError as error:
                say(str(error))
            missing = _missing(root, stage)
    return missing


def _missing(root: Path, stage: str) -> list[Tool]:
    return [tool for tool in TOOLS if stage in tool.wanted_by and not present(tool, root)]


def _offered(tool: Tool, offers: Callable[[str], bool]) -> list[str]:
    first = next((package for package in tool.packages if offers(package)), None)
    return [first, *tool.extra_packages] if first else []


def _install(_root: Path, missing: list[Tool]) -> None:
    if not all(_offered(tool, apt.available) for tool in missing):
        apt.update_lists()
    packages = [package for tool in missing for package in _offered(tool, apt.available)]
    if packages:
        apt.install_system_wide(packages)
        say("if one of them runs as a service now and you do not want that: systemctl disable --now <name>")


def _unpack(root: Path, suite: str | None, tools: list[Tool]) -> None:
    home = root / ".tools"
    home.mkdir(exist_ok=True)
    with apt.PrivateApt(home, suite) as private:
        offered = {tool.program: packages for tool in tools if (packages := _offered(tool, private.offers))}
        if not offered:
            return
        names = " ".join(package for packages in offered.values() for package in packages)
        say("unpacking into .tools, nothing is installed system-wide: " + names)
        tree = private.unpack(names.split())
    for tool in tools:
        if tool.program in offered:
            own = next(root.glob(tool.inside), None) if tool.inside else None
            write_wrapper(private_bin(root), tool.program, tree, own)


def _unpack_same_release(root: Path, missing: list[Tool]) -> None:
    say("looking up packages in this release: " + " ".join(tool.packages[0] for tool in missing))
    _unpack(root, None, missing)


def _unpack_other_release(root: Path, missing: list[Tool]) -> None:
    if apt.os_release().get("ID") != "debian":
        return  # another distribution's archive has other suites
    for suite in sorted({suite for tool in missing for suite in tool.elsewhere}):
        tools = [tool for tool in missing if suite in tool.elsewhere]
        say(f"this release has no fitting {_names(tools)}; looking in Debian {suite}")
        _unpack(root, suite, tools)


def _names(tools: list[Tool]) -> str:
    return ", ".join(tool.program for tool in tools)


def report(stage: str, missing: list[Tool], root: Path) -> None:
    """Say what is missing and the one command that would bring it; a test without its tools is refused."""
    if not missing:
        return
    for tool in missing:
        say(f"{tool.program} is missing ({tool.use})")
    say("to install: " + remedy(missing))
    if stage == "test":
        raise SetupError("make test needs " + _names(missing))
    if find("mosquitto", root) is None:
        say("the demo goes on with the embedded broker amqtt")
    if any(tool.program == "micropython" for tool in missing):
        say("the demo goes on with the firmware under CPython")
