"""`esp32` of the virtual board: settings that outlive a reset, kept in a file of the host, and the chip's own
figures."""

# ruff: noqa: ARG001 - the chip's own signatures

import binascii
import errno
import json

import board

HEAP_DATA = 4


_volatile = {}  # a board without a file keeps its settings for the life of the process


class NVS:
    """A namespace of settings: blobs and 32-bit integers, written to the file by `commit`."""

    def __init__(self, namespace):
        self._namespace = namespace
        self._items = self._load().get(namespace, {})

    def _load(self):
        if board.current.nvs_file is None:
            return _volatile
        try:
            with open(board.current.nvs_file) as stream:
                return json.load(stream)
        except OSError:
            return {}

    def _get(self, key, kind):
        item = self._items.get(key)
        if item is None or item[0] != kind:
            raise OSError(-0x1102, "ESP_ERR_NVS_NOT_FOUND")
        return item[1]

    def set_i32(self, key, value):
        self._items[key] = ["i32", value]

    def get_i32(self, key):
        return self._get(key, "i32")

    def set_blob(self, key, value):
        self._items[key] = ["blob", binascii.hexlify(bytes(value)).decode()]

    def get_blob(self, key, buffer):
        value = binascii.unhexlify(self._get(key, "blob"))
        if len(value) > len(buffer):
            raise OSError(errno.EINVAL)
        buffer[: len(value)] = value
        return len(value)

    def erase_key(self, key):
        if self._items.pop(key, None) is None:
            raise OSError(-0x1102, "ESP_ERR_NVS_NOT_FOUND")

    def commit(self):
        everything = self._load()
        everything[self._namespace] = self._items
        if board.current.nvs_file is None:
            return
        with open(board.current.nvs_file, "w") as stream:
            json.dump(everything, stream)


def idf_heap_info(capabilities):
    return [(262144, 120000, 90000, 80000)]


def mcu_temperature():
    return 41
