"""Moves a journal's file out of the way with its side files, so that a kill at any moment loses nothing.

It looks into no file. While a damaged journal is on its way there is a mark beside it that says where to.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

SIDE_FILES = ("-wal", "-shm", "")  # the main file last: as long as it is there, the others are its own


def free_name(path: Path, stamp: str, why: str) -> Path:
    """Return a name that nothing has, beside the file."""
    target = path.with_name(f"{path.name}.{why}-{stamp}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.{why}-{stamp}-{number}")
    return target


def move(path: Path, target: Path) -> None:
    """Rename a file and its side files, or what a move cut short has left of them."""
    if target.exists():
        return
    for suffix in SIDE_FILES:
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{target}{suffix}")


def move_aside(path: Path, stamp: str, why: str) -> Path:
    """Rename a file and its side files; returns the new name of the main file."""
    target = free_name(path, stamp, why)
    move(path, target)
    return target


def begin(path: Path, stamp: str) -> Path:
    """Move a damaged journal aside and leave the mark; returns where it is."""
    target = free_name(path, stamp, "corrupt")
    with _mark(path).open("w") as file:
        file.write(target.name)
        file.flush()
        os.fsync(file.fileno())
    return resume(path) or target


def resume(path: Path) -> Path | None:
    """Finish a move that the mark speaks of; returns where the damaged journal is, None without a mark."""
    try:
        name = _mark(path).read_text()
    except FileNotFoundError:
        return None
    if not name:  # killed before the mark said anything: nothing was moved
        done(path)
        return None
    target = path.with_name(name)
    move(path, target)
    suspect(path).unlink(missing_ok=True)
    return target


def done(path: Path) -> None:
    """Take the mark away: everything about the move is on record."""
    _mark(path).unlink(missing_ok=True)


def suspect(path: Path) -> Path:
    """Return the mark beside a file that showed damage in service."""
    return path.with_name(f"{path.name}.suspect")


def _mark(path: Path) -> Path:
    return path.with_name(f"{path.name}.moving")
