"""A record to read, and a running daemon without a broker."""

import pytest
from ashibar.cli import main
from ashibar.core.config import check
from ashibar.daemon import Daemon
from click.testing import CliRunner
from records import HANGERS, T0, load
from studio import RIG, Studio, act, end, in_order, start


@pytest.fixture(scope="session")
def record(tmp_path_factory):
    """The path of a journal with one session of half a minute, with alarms and an incident."""
    studio = Studio(tmp_path_factory.mktemp("record") / "journal.sqlite")
    studio.about()
    asked = [
        (T0 + 2_003_000, start()),
        (T0 + 15_000_000, act("client-over-limit")),
        (T0 + 20_000_000, end()),
    ]
    force_n = load(30)
    force_n[12 * 80 : 13 * 80] *= 0.1
    force_n[22 * 80 :] *= 0.01
    studio.play(in_order(force_n), asked, T0 + 100_000_000)
    studio.sum_up()
    studio.close()
    return studio.path


@pytest.fixture
def run():
    """Call the command line; `status` is its exit status, `out` and `err` what it printed."""

    def call(*words, env=None):
        return CliRunner().invoke(main, [str(word) for word in words], env={"COLUMNS": "200"} | (env or {}))

    return call


@pytest.fixture
def daemon(tmp_path):
    """A running daemon that knows a rig, and no broker."""
    cells = [
        {
            "hanger": name,
            "node": "bars",
            "channel": i,
            "capacity_kg": 200,
            "class": "0.2%",
            "working_load_kg": 60,
        }
        for i, name in enumerate(HANGERS)
    ]
    document = {
        "studio": {"name": "test"},
        "mqtt": {"port": 9},
        "journal": {"path": str(tmp_path / "journal.sqlite")},
        "web": {"port": 0},
        "rig": [{"name": RIG, "cell": cells}],
    }
    daemon = Daemon(check(document))
    daemon.start()
    assert daemon.committer.flush(10.0), "its first entries are on disk"
    yield daemon
    daemon.stop()
