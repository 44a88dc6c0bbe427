"""The Wi-Fi station, where there is one: power save off, joining bounded in time. On the unix port there may
be none."""

import asyncio

JOIN_MS = 15000


class Wifi:
    """`ssid` None leaves the radio as it is, for a board that has its network otherwise."""

    def __init__(self, ssid=None, password=None):
        self._ssid = ssid
        self._password = password
        self._wlan = None

    def start(self):
        """Switch the radio on, before memory is shared out: it takes its own part."""
        if self._ssid is None:
            return
        try:
            import network
        except ImportError:
            return
        self._wlan = network.WLAN(network.STA_IF)
        self._wlan.active(True)
        try:  # noqa: SIM105 - no contextlib on the chip
            self._wlan.config(
                pm=getattr(network.WLAN, "PM_NONE", 0)
            )  # power save delays packets by 100 ms and more
        except (OSError, ValueError):
            pass

    async def join(self):
        """Be connected to the access point, or OSError after JOIN_MS."""
        wlan = self._wlan
        if wlan is None or wlan.isconnected():
            return
        try:  # noqa: SIM105 - no contextlib on the chip
            wlan.disconnect()
        except OSError:
            pass
        wlan.connect(self._ssid, self._password)
        for _ in range(JOIN_MS // 100):
            if wlan.isconnected():
                return
            await asyncio.sleep_ms(100)
        raise OSError(
            "Wi-Fi %s not joined within %d s: check name, password and distance"
            % (self._ssid, JOIN_MS // 1000)
        )

    def rssi_dbm(self):
        """Received signal strength, or None."""
        if self._wlan is None:
            return None
        try:
            return self._wlan.status("rssi")
        except (OSError, ValueError):
            return None
