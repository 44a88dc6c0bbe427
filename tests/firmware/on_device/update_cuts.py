"""On MicroPython: one real update on VfsLfs2, the power cut at every chunk boundary and at random bytes.

`update_cuts.py FIRMWARE CUTS SEED`: prints JSON. After each cut the file system is mounted anew and the
loader boots; the version it chose is then checked file by file against that version's manifest.
"""

# ruff: noqa: I001, PERF401, PTH102, PTH123, UP031 - MicroPython has no pathlib and orders its imports otherwise

import asyncio
import binascii
import hashlib
import json
import os
import sys
import vfs

import loader
from flash_model import Flash, Replay, length
from barnode import manifest
from barnode.update import CHUNK, Updater

FLASH = "/flash"
BLOCKS = 256
KEPT = 24  # files of the real firmware: more would only take longer


def sha(data):
    return binascii.hexlify(hashlib.sha256(data).digest()).decode()


def application(folder, version):
    """{path: bytes} of the real firmware, its version replaced, and its manifest."""
    files = {}

    def collect(below):
        for entry in os.ilistdir(folder + "/" + below):
            path = below + "/" + entry[0]
            if entry[0] == "__pycache__":
                continue
            if entry[1] & 0x4000:
                collect(path)
            else:
                with open(folder + "/" + path, "rb") as file:
                    files[path] = file.read()

    collect("barnode")
    for path in sorted(files)[KEPT:]:
        if path not in ("barnode/node.py", "barnode/start.py"):
            del files[path]
    files["barnode/__init__.py"] = ('VERSION = "%s"\n' % version).encode()
    lines = ["ashibar-manifest 1 " + version]
    for path in sorted(files):
        lines.append("%s %d %s" % (sha(files[path]), len(files[path]), path))
    return files, ("\n".join(lines) + "\n").encode()


def put_whole(where, files, listing):
    """Copy an application as the cable does."""
    made = {where}
    for path, data in files.items():
        folder = where
        for part in path.split("/")[:-1]:
            folder += "/" + part
            if folder not in made:
                os.mkdir(folder)
                made.add(folder)
        with open(where + "/" + path, "wb") as file:
            file.write(data)
    with open(where + "/" + manifest.NAME, "wb") as file:
        file.write(listing)


class Sender:
    """The host's half, without a wire."""

    def __init__(self, log):
        self.updater = Updater(loader, lambda: None)
        self.log = log
        self.boundaries = []

    def ask(self, **request):
        return asyncio.run(self.updater.command(request))

    def send(self, files, listing):
        self.ask(step="begin", manifest=sha(listing))
        self._file(manifest.NAME, listing)
        for path in sorted(files):
            self._file(path, files[path])
        return self.ask(step="finish")

    def _file(self, path, data):
        have = self.ask(step="have", path=path)["have"]
        for at in range(have, len(data), CHUNK):
            chunk = binascii.b2a_base64(data[at : at + CHUNK]).decode()
            self.ask(step="put", path=path, at=at, data=chunk)
            if self.log is not None:
                self.boundaries.append(length(self.log))


def boot():
    """What the chip does at power-on, as far as the choice goes; the path is left as it was."""
    path = list(sys.path)
    loader.choose(FLASH)
    sys.path[:] = path
    return loader.slot


def whole(slot):
    """The version in `slot`, every file as its manifest lists it; AssertionError otherwise."""
    folder = FLASH + ("/" + slot if slot else "")
    wrong = asyncio.run(manifest.first_wrong(folder))
    assert wrong is None, (slot, wrong)
    return manifest.version(folder)


def check(flash, versions):
    """Boot what is left of a flash; answers the version, whole. A trial not confirmed must end at 3.0.0."""
    vfs.mount(vfs.VfsLfs2(flash), FLASH)
    version = whole(boot())
    assert version in ("3.0.0", "4.0.0"), version
    versions[version] = versions.get(version, 0) + 1
    if loader.trial:
        boot()
        assert whole(boot()) == "3.0.0"
        assert not loader.trial
    return version


def main(folder, cuts, seed):
    old, old_list = application(folder, "1.0.0")
    new, new_list = application(folder, "2.0.0")
    newest, newest_list = application(folder, "3.0.0")
    flash = Flash(BLOCKS)
    vfs.VfsLfs2.mkfs(flash)
    vfs.mount(vfs.VfsLfs2(flash), FLASH)
    put_whole(FLASH, old, old_list)
    assert boot() == ""
    Sender(None).send(new, new_list)  # one update before, so that the logged one is between two slots
    assert boot() == "app_a"
    loader.confirm()
    Sender(None).send(newest, newest_list)  # and one more, so that it wipes a directory that was in use
    assert boot() == "app_b"
    loader.confirm()
    vfs.umount(FLASH)

    start = bytes(flash.image)
    log = []
    vfs.mount(vfs.VfsLfs2(Flash(BLOCKS, flash.image, log)), FLASH)
    assert boot() == "app_b"
    sender = Sender(log)
    sent, sent_list = application(folder, "4.0.0")
    sender.send(sent, sent_list)
    marked = length(log)
    assert [boot(), boot()] == ["app_a", "app_a"]
    kept = bytes(flash.image)
    loader.confirm()
    confirmed = length(log)
    vfs.umount(FLASH)

    given_up = []
    vfs.mount(vfs.VfsLfs2(Flash(BLOCKS, bytearray(kept), given_up)), FLASH)
    assert boot() == "app_b"
    vfs.umount(FLASH)

    points = set(sender.boundaries)
    for boundary in sender.boundaries[:: max(1, len(sender.boundaries) // 20)]:
        points.update((boundary - 1, boundary + 1))
    state = seed
    for _ in range(cuts):
        state = (state * 69069 + 12345) & 0x7FFFFFFF
        points.add((state >> 3) % confirmed)
    points.update(range(marked - 300, confirmed + 1, 11))  # every write of the marker, and the confirmation
    versions = {}
    replay = Replay(start, log)
    resumed = 0
    for number, point in enumerate(sorted(points)):
        replay.to(point)
        version = check(Flash(BLOCKS, bytearray(replay.image)), versions)
        if version == "3.0.0" and number % 40 == 0:  # what was begun can be ended
            Sender(None).send(sent, sent_list)
            assert whole(boot()) == "4.0.0"
            resumed += 1
        vfs.umount(FLASH)
    replay = Replay(kept, given_up)
    returns = list(range(0, length(given_up) + 1, 11))
    for point in returns:
        replay.to(point)
        check(Flash(BLOCKS, bytearray(replay.image)), versions)
        vfs.umount(FLASH)
    print(
        json.dumps(
            {
                "bytes": confirmed,
                "chunks": len(sender.boundaries),
                "cuts": len(points) + len(returns),
                "boundaries_cut": len(points & set(sender.boundaries)),
                "versions": versions,
                "resumed": resumed,
            }
        )
    )


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
