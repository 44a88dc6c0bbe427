"""Fixtures every kind of test may use: real servers, and the recordings beside the checkout."""

from pathlib import Path

import given_influx
import hypothesis
import pytest
from servers import Influx, Mosquitto, need

RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "recordings"

# The machine is shared: how long an example took says nothing about the code.
hypothesis.settings.register_profile(
    "shared", deadline=None, max_examples=30, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
# `--hypothesis-profile thorough` looks ten times as long.
hypothesis.settings.register_profile("thorough", hypothesis.settings.get_profile("shared"), max_examples=500)
hypothesis.settings.load_profile("shared")


# Files that take longest, most of it waiting: begun first, so that no process is left with one at the end.
LONGEST = (
    "test_chaos.py", "test_fault_table.py", "test_campaign.py", "test_node_bench.py", "test_power_cut.py",
    "test_delivery.py", "test_node_broker.py", "test_link.py", "test_server.py", "test_page.py",
    "test_outage.py", "test_update_node.py", "test_demo.py", "test_alarm_bank.py", "test_daemon.py",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """Put the longest files in front; the others, and the tests of a file, keep their order."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONGEST)))


@pytest.fixture
def mosquitto(tmp_path):
    """A running private broker that has saved no session yet; `save`, `kill`, `restart` keep its port."""
    need("mosquitto")
    broker = Mosquitto(tmp_path / "mosquitto").start()
    yield broker
    broker.stop()


@pytest.fixture
def influx(tmp_path):
    """A running InfluxDB (1.x engine) behind a v2 write path; `kill`, `start`; `query` InfluxQL.

    With ASHIBAR_TEST_INFLUX_URL the one given, and a bucket of the test's own there.
    """
    if given_influx.URL:
        server = given_influx.GivenInflux(tmp_path / "influx")
    else:
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
