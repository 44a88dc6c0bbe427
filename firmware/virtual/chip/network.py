"""`network` of the virtual board: a station whose radio the board can switch off. The sockets are the host's
own."""

# ruff: noqa: ARG002 - the chip's own signatures

import board

STA_IF, AP_IF = 0, 1
STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP, STAT_NO_AP_FOUND = 1000, 1001, 1010, 201


class WLAN:
    """A Wi-Fi station; connected whenever it was asked to connect and the board's network is up."""

    IF_STA, IF_AP = STA_IF, AP_IF
    PM_NONE, PM_PERFORMANCE, PM_POWERSAVE = 0, 1, 2

    def __init__(self, interface=STA_IF):
        self._board = board.current
        self._active = False
        self._wanted = False
        self._settings = {"pm": WLAN.PM_PERFORMANCE}

    def active(self, on=None):
        if on is None:
            return self._active
        self._active = bool(on)
        self._wanted = self._wanted and self._active
        return None

    def connect(self, ssid=None, key=None, *, bssid=None):
        if not self._active:
            raise OSError("Wifi Not Started")
        self._wanted = True

    def disconnect(self):
        self._wanted = False

    def isconnected(self):
        return self._wanted and self._board.network_up

    def status(self, what=None):
        if what == "rssi":
            return self._board.rssi_dbm
        if self.isconnected():
            return STAT_GOT_IP
        return STAT_CONNECTING if self._wanted else STAT_IDLE

    def config(self, *names, **settings):
        self._settings.update(settings)
        return self._settings.get(names[0]) if names else None

    def ifconfig(self):
        return ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")

    def ipconfig(self, name):
        return ("127.0.0.1", "255.0.0.0")


def hostname(name=None):
    return name or "ashibar"


def country(code=None):
    return code or "XX"
