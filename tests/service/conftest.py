"""A running daemon with limits set, bars under load, and its API."""

from types import SimpleNamespace

import pytest
from ashibar.core.config import check
from ashibar.daemon import Daemon
from ashibar.io.journal import SafetyReader
from bars import Api, Bars
from rooms import configuration
from servers import wait_until
from virtual import VirtualHost


@pytest.fixture
def start_host(mosquitto, tmp_path):
    """Start daemons on one journal; those still running at the end are stopped."""
    running = []

    def start(**sections):
        daemon = Daemon(check(configuration(mosquitto, tmp_path, **sections)))
        daemon.start()
        running.append(daemon)
        assert daemon.link.wait_connected(10)
        daemon.api = Api(daemon.url)
        daemon.safety = SafetyReader(tmp_path / "journal.sqlite")
        return daemon

    yield start
    for daemon in running:
        daemon.safety.close()
        daemon.stop()


@pytest.fixture
def host(start_host):
    return start_host()


@pytest.fixture
def bars(mosquitto, host):
    """Bars that are seen by the host."""
    bars = Bars(mosquitto.port)
    wait_until(lambda: (host.figure("room-1") or {}).get("bar"), "a figure")
    yield bars
    bars.stop()


@pytest.fixture
def start_virtual(tmp_path, monkeypatch):
    """Start a host in virtual time; those still there at the end are stopped."""
    running = []

    def start(**sections):
        no_broker = SimpleNamespace(port=1)
        running.append(VirtualHost(configuration(no_broker, tmp_path, **sections), monkeypatch))
        return running[-1]

    yield start
    for host in running:
        host.stop()


@pytest.fixture
def virtual(start_virtual):
    return start_virtual()
