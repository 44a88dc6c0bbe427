"""Fixtures every kind of test may use: real servers, and the recordings beside the checkout."""

from pathlib import Path

import pytest
from servers import Influx, Mosquitto, find_program

RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "recordings"


def need(*programs):
    """Skip where a system program is missing; `make test` installs them or names the command that would."""
    missing = [name for name in programs if find_program(name) is None]
    if missing:
        pytest.skip(f"not on this machine: {', '.join(missing)}")


@pytest.fixture
def mosquitto(tmp_path):
    """A running private broker that has saved no session yet; `save`, `kill`, `restart` keep its port."""
    need("mosquitto")
    broker = Mosquitto(tmp_path / "mosquitto").start()
    yield broker
    broker.stop()


@pytest.fixture
def influx(tmp_path):
    """A running InfluxDB (1.x engine) behind a v2 write path; `kill`, `start`; `query` InfluxQL."""
    need("influxd", "nginx")
    server = Influx(tmp_path / "influx").start()
    yield server
    server.stop()


@pytest.fixture
def recordings():
    """The directory of public recordings; the test is skipped where it is absent."""
    if not RECORDINGS.is_dir():
        pytest.skip("the recordings are not beside this checkout")
    return RECORDINGS
