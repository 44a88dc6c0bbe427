"""The list of an application's files with their SHA-256, read line by line: it is never in memory as a whole.

`manifest.txt`: a line `ashibar-manifest 1 VERSION`, then a line `SHA-256 SIZE PATH` a file, in order of path.
"""

import asyncio
import binascii
import hashlib
import os

NAME = "manifest.txt"
_HEAD = "ashibar-manifest 1 "
_BLOCK = 512
_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./"


def version(folder):
    """The version in its first line; ValueError for anything else."""
    with open(folder + "/" + NAME) as file:
        line = file.readline()
    if not line.startswith(_HEAD):
        raise ValueError("%s: first line %r expected, %r came: make it anew" % (NAME, _HEAD, line[:40]))
    return line[len(_HEAD) :].strip()


def entries(folder):
    """(path, size, SHA-256 in hex) of each file; ValueError for a line that cannot be one."""
    with open(folder + "/" + NAME) as file:
        file.readline()
        for line in file:
            parts = line.strip().split(" ")
            if len(parts) != 3 or len(parts[0]) != 64 or not parts[1].isdigit() or not is_path(parts[2]):
                raise ValueError("%s: SHA-256, size and path expected, %r came" % (NAME, line[:100]))
            yield parts[2], int(parts[1]), parts[0]


def is_path(path):
    """Whether a file of the application may be called so: below barnode/, without detours."""
    if not path.startswith("barnode/") or len(path) > 80 or not all(c in _CHARACTERS for c in path):
        return False
    return all(part not in ("", ".", "..") for part in path.split("/"))


def size_of(path):
    """Bytes of a file, 0 when there is none."""
    try:
        return os.stat(path)[6]
    except OSError:
        return 0


def digest(folder):
    """SHA-256 of the manifest itself in hex, which names a version exactly; None when there is none."""
    try:
        with open(folder + "/" + NAME, "rb") as file:
            return binascii.hexlify(hashlib.sha256(file.read()).digest()).decode()
    except OSError:
        return None


async def sha256(path):
    """SHA-256 of a file in hex, other tasks running between its blocks; None when there is none."""
    digest = hashlib.sha256()
    block = bytearray(_BLOCK)
    try:
        with open(path, "rb") as file:
            while True:
                n = file.readinto(block)
                if not n:
                    break
                digest.update(memoryview(block)[:n])
                await asyncio.sleep_ms(0)
    except OSError:
        return None
    return binascii.hexlify(digest.digest()).decode()


async def first_wrong(folder):
    """The path of the first listed file that is not as listed, or None."""
    for path, size, digest in entries(folder):
        full = folder + "/" + path
        if size_of(full) != size or await sha256(full) != digest:
            return path
    return None
