"""Takes a new version of the application, chunk by chunk, into the directory that does not run.

It never touches the version that runs; which one starts is the loader's, whether it may be now is
`refusal`'s. See docs/update.md.
"""

import asyncio
import binascii
import os
import sys

from micropython import const

from barnode import manifest

CHUNK = const(768)  # bytes of one `put`: 1 KB in base64
_INCOMING = "/incoming"  # holds the SHA-256 of the manifest that is being received


def running_loader():
    """The loader that started this application, or None: a test, or a board that starts it otherwise."""
    loader = sys.modules.get("loader")
    return loader if getattr(loader, "chosen", False) else None


def about(loader):
    """The part of `about` that tells of versions: (manifest hash, slot, on trial, version given up)."""
    if loader is None:
        return {"manifest": None, "update": None}
    failed = None
    if loader.failed:
        try:
            failed = manifest.version(loader.root + "/" + loader.failed)
        except (OSError, ValueError):
            failed = loader.failed
    folder = loader.root + ("/" + loader.slot if loader.slot else "")
    return {
        "manifest": manifest.digest(folder),
        "update": {"slot": loader.slot, "on_trial": loader.trial, "failed": failed},
    }


class Updater:
    """`loader` is the module that started the application, None where there is none. `refusal()` answers why
    nothing may be written now, or None."""

    def __init__(self, loader, refusal):
        self._loader = loader
        self._refusal = refusal
        self._folder = ""  # the one being filled; empty before `begin`
        self._digest = None
        self._listed = False
        self._entry = None
        self._steps = {"begin": self._begin, "have": self._have, "put": self._put, "finish": self._finish}

    def begun(self):
        """Whether a version is being taken: what is known of it goes with this object."""
        return bool(self._folder)

    async def command(self, request):
        """Handle one `update` command: answers the reply's fields, ValueError is the refusal."""
        step = self._steps.get(request.get("step"))
        if step is None:
            raise ValueError("step: begin, have, put or finish expected, %r came" % (request.get("step"),))
        if self._loader is None:
            raise ValueError("the loader expected, this node runs without: copy the firmware by cable once")
        reason = self._refusal()
        if reason:
            raise ValueError(reason)
        try:
            return await step(request)
        except OSError as error:
            raise ValueError("the file system refused (%s): check its free space" % error) from None

    async def _begin(self, request):
        digest = request.get("manifest")
        if not isinstance(digest, str) or len(digest) != 64:
            raise ValueError("manifest: SHA-256 in hex expected, %r came" % (digest,))
        loader = self._loader
        if loader.trial:
            raise ValueError("the running version is on trial: wait until it is confirmed, then begin again")
        loader.stay()
        name = loader.SLOTS[1] if loader.slot == loader.SLOTS[0] else loader.SLOTS[0]
        self._folder = loader.root + "/" + name
        self._digest = digest
        self._listed = False
        self._entry = None
        if _read(self._folder + _INCOMING) != digest:
            await _wipe(self._folder)
            os.mkdir(self._folder)
            with open(self._folder + _INCOMING, "w") as file:
                file.write(digest)
        return {"slot": name, "chunk": CHUNK}

    async def _have(self, request):
        path = request.get("path")
        await self._expected_size(path)
        return {"path": path, "have": manifest.size_of(self._folder + "/" + path)}

    async def _put(self, request):
        path = request.get("path")
        size = await self._expected_size(path)
        full = self._folder + "/" + path
        there = manifest.size_of(full)
        if request.get("at") != there:
            raise ValueError("at: %d expected, %r came: ask with have" % (there, request.get("at")))
        data = request.get("data")
        if not isinstance(data, str):
            raise ValueError("data: base64 expected, %s came" % type(data).__name__)  # noqa: TRY004 - a refusal
        data = binascii.a2b_base64(data.encode())
        if (not data and size != 0) or len(data) > CHUNK:
            raise ValueError("data: 1 to %d bytes expected, %d came" % (CHUNK, len(data)))
        if size is not None and there + len(data) > size:
            raise ValueError("%s: %d bytes expected, more came" % (path, size))
        _make_folders(self._folder, path)
        with open(full, "ab") as file:
            file.write(data)
        return {"path": path, "have": there + len(data)}

    async def _finish(self, _request):
        await self._check_manifest()
        folder = self._folder
        wrong = await manifest.first_wrong(folder)
        if wrong:
            if manifest.size_of(folder + "/" + wrong):
                os.remove(folder + "/" + wrong)
            raise ValueError("%s: it is not as listed and was removed: send it again" % wrong)
        await self._remove_unlisted("/barnode")
        self._loader.switch(folder[folder.rfind("/") + 1 :])
        return {"version": manifest.version(folder), "manifest": self._digest}

    async def _expected_size(self, path):
        """Size of a file that may be sent, None for the manifest; ValueError for any other."""
        if not self._folder:
            raise ValueError("begin expected first: the node may have restarted")
        if path == manifest.NAME:
            self._listed = False
            return None
        if not isinstance(path, str):
            raise ValueError("path: text expected, %r came" % (path,))  # noqa: TRY004 - a refusal
        if not self._listed:
            await self._check_manifest()
        if self._entry is None or self._entry[0] != path:
            self._entry = None
            for entry in manifest.entries(self._folder):
                if entry[0] == path:
                    self._entry = entry
                    break
        if self._entry is None:
            raise ValueError("path: a file of the manifest expected, %r came" % (path,))
        return self._entry[1]

    async def _check_manifest(self):
        if not self._folder:
            raise ValueError("begin expected first: the node may have restarted")
        path = self._folder + "/" + manifest.NAME
        if await manifest.sha256(path) != self._digest:
            if manifest.size_of(path):
                os.remove(path)
            raise ValueError("%s: it does not have the hash announced: send it again, first" % manifest.NAME)
        manifest.version(self._folder)
        self._listed = True

    async def _remove_unlisted(self, below):
        for entry in list(os.ilistdir(self._folder + below)):
            path = below + "/" + entry[0]
            if entry[1] & 0x4000:
                await self._remove_unlisted(path)
            elif not any(listed[0] == path[1:] for listed in manifest.entries(self._folder)):
                os.remove(self._folder + path)
            await asyncio.sleep_ms(0)


def _read(path):
    try:
        with open(path) as file:
            return file.read(64)
    except OSError:
        return None


def _make_folders(folder, path):
    parts = path.split("/")[:-1]
    for part in parts:
        folder += "/" + part
        try:
            os.stat(folder)
        except OSError:
            os.mkdir(folder)


async def _wipe(folder):
    """Remove a directory with all that is in it, the note of what was being received first."""
    try:
        names = list(os.ilistdir(folder))
    except OSError:
        return
    if any(name[0] == _INCOMING[1:] for name in names):
        os.remove(folder + _INCOMING)
    for entry in names:
        path = folder + "/" + entry[0]
        if entry[1] & 0x4000:
            await _wipe(path)
        elif entry[0] != _INCOMING[1:]:
            os.remove(path)
        await asyncio.sleep_ms(0)
    os.rmdir(folder)
