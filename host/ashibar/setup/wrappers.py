"""Writes start scripts for programs unpacked into a private folder, which find their libraries there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ashibar.setup.say import SetupError

if TYPE_CHECKING:
    from pathlib import Path

# Programs of Debian that are scripts around the real one, which looks for itself under /usr.
REAL_PROGRAM = {"chromium": "usr/lib/chromium/chromium"}
SCRIPT_HEAD = """#!/bin/sh
# Written by ashibar.setup: runs a program unpacked beside it.
here=$(dirname "$(readlink -f "$0")")/..
"""
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig><dir>/usr/share/fonts</dir><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>
"""


def program_in(tree: Path, program: str) -> Path:
    """The program's own file in an unpacked tree."""
    places = [REAL_PROGRAM.get(program, ""), "usr/bin/" + program, "usr/sbin/" + program]
    found = next((tree / place for place in places if place and (tree / place).is_file()), None)
    if found is None:
        raise SetupError(f"{program} is not in the packages unpacked in {tree}")
    return found


def library_folders(tree: Path) -> list[Path]:
    """Folders of shared libraries: each architecture's, and the private ones right below it."""
    above = [
        folder
        for part in ("lib", "usr/lib")
        for folder in sorted(tree.glob(part + "/*-linux-*"))
        if folder.is_dir()
    ]
    below = [child for folder in above for child in sorted(folder.iterdir()) if child.is_dir()]
    return above + [folder for folder in below if any(folder.glob("lib*.so*"))]


def loader(tree: Path) -> Path | None:
    """The dynamic loader of an unpacked C library, if the tree has one."""
    return next(
        (path for part in ("usr/lib", "lib") for path in sorted(tree.glob(part + "/*/ld-linux*.so*"))), None
    )


def _from_bin(path: Path, folder: Path) -> str:
    return '"$here"/' + os.path.relpath(path, folder.parent)


def write_wrapper(folder: Path, program: str, tree: Path, target: Path | None = None) -> Path:
    """Write `folder/program`. A tree with its own C library is run by its own loader, not by the system's.

    `target`: the program itself, where it is not in the tree but only its libraries are.
    """
    target, own_loader = target or program_in(tree, program), loader(tree)
    libraries = ":".join(_from_bin(path, folder) for path in library_folders(tree))
    if own_loader is not None:
        starter = f"{_from_bin(own_loader, folder)} --library-path {libraries}"
        body = f'exec {starter} {_from_bin(target, folder)} "$@"\n'
    else:
        body = "export LD_LIBRARY_PATH={}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\n".format(
            libraries or '"$here"'
        )
        if program == "chromium":
            body += f"export FONTCONFIG_FILE={_from_bin(_write_fonts(tree), folder)}\n"
        body += f'exec {_from_bin(target, folder)} "$@"\n'
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / program
    script.write_text(SCRIPT_HEAD + body, encoding="utf-8")
    script.chmod(0o755)
    return script


def _write_fonts(tree: Path) -> Path:
    path = tree / "fonts.conf"
    path.write_text(FONTS.format(fonts=tree / "usr/share/fonts", cache=tree / "font-cache"), encoding="utf-8")
    return path
