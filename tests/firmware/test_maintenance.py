"""When the flash may be written and a node may start again by itself: what the host said of a session, what
the bars carry, how old the boot is."""

import asyncio
import sys
from types import SimpleNamespace

import pytest
from firmware_paths import import_firmware

import_firmware()

from barnode import clock, duties, lazy, maintenance, renewal  # noqa: E402 - importable only from here on
from barnode.backlog import Backlog  # noqa: E402
from barnode.builder import FrameBuilder  # noqa: E402
from barnode.duties import Duties  # noqa: E402
from barnode.maintenance import Maintenance  # noqa: E402


class Bars:
    """Maintenance with time and load in a test's hand."""

    def __init__(self, monkeypatch):
        self.now = 5000
        self.force_n = 0.0
        monkeypatch.setattr(maintenance, "now_ms", lambda: self.now)
        self.maintenance = Maintenance(lambda: self.force_n)

    def hear(self, validity, **fields):
        self.maintenance.hear({"validity": validity} | fields)
        return self.maintenance.loaded()


@pytest.fixture
def bars(monkeypatch):
    return Bars(monkeypatch)


@pytest.mark.parametrize("validity", ["stale", "fault", ["valid"], None])
def test_a_word_that_hides_whether_a_session_is_live_neither_begins_nor_ends_one(bars, validity):
    assert bars.hear(validity) is None
    assert "a session expected" in bars.hear("valid")
    assert "a session expected" in bars.hear(validity)
    assert bars.hear("not in session") is None
    assert bars.hear(validity) is None


@pytest.mark.parametrize("validity", ["stale", "fault", "valid", "not in session"])
def test_a_host_that_says_whether_a_session_is_live_is_believed_whatever_the_figure(bars, validity):
    assert "without a session expected" in bars.hear(validity, session=True)
    assert bars.hear(validity, session=False) is None


def test_a_session_is_taken_for_live_for_a_minute_after_the_host_fell_silent(bars):
    bars.hear("valid", session=True)
    bars.now += maintenance.SESSION_HELD_MS - 1
    assert bars.maintenance.loaded()
    bars.now += 1
    assert bars.maintenance.loaded() is None
    bars.now += 1 << 30  # the counter has wrapped
    assert bars.maintenance.loaded() is None


def test_loaded_bars_refuse_whatever_the_host_says(bars):
    bars.force_n = 51.0
    assert "51 N measured" in bars.hear("not in session", session=False)


class Old:
    """A node whose boot is as old, whose bars are as free as a test says."""

    def __init__(self, bars, samples=0, uptime_s=0):
        self.restarts = 0
        backlog = Backlog([bytearray(512) for _ in range(8)], 4)
        builder = FrameBuilder(backlog, clock.Clock(0), 1, 6, 4)
        builder._index_low, builder._index_high = samples & 0xFFFF, samples >> 16
        self.node = SimpleNamespace(
            builder=builder,
            clock=SimpleNamespace(s=lambda: uptime_s),
            client=SimpleNamespace(connected=True),
            backlog=SimpleNamespace(held=2),
            restart=self._restart,
            loader=None,
        )
        self.duties = Duties.__new__(Duties)
        self.duties._node, self.duties._updater, self.duties.maintenance = self.node, None, bars.maintenance

    def _restart(self):
        self.restarts += 1

    def restarts_now(self):
        before = self.restarts
        self.duties.look()
        return self.restarts > before


def test_a_boot_is_renewed_after_2_to_the_31_samples_or_half_a_year_and_not_before(bars):
    assert not Old(bars, 2**31 - 1, 180 * 86400 - 1).restarts_now()
    assert Old(bars, 0, 180 * 86400).restarts_now()
    assert Old(bars, 2**32 - 1, 86400).restarts_now()
    old = Old(bars, 2**31 - 1)
    assert not old.restarts_now()
    old.node.builder.take(0, [1, 2, 3, 4])
    assert old.node.builder.taken() == 2**31
    assert old.restarts_now()


def test_even_at_the_highest_rate_there_is_as_much_time_left_as_has_passed():
    highest_hz = 250  # converters.md
    assert (2**32 - (renewal.DUE_HIGH << 16)) / highest_hz > 90 * 86400


def test_a_boot_is_not_renewed_under_load_in_a_session_or_while_anything_would_be_lost(bars):
    old = Old(bars, 2**31)
    bars.force_n = 60.0
    assert not old.restarts_now()
    bars.force_n = 0.0
    bars.hear("stale", session=True)
    assert not old.restarts_now()
    bars.hear("stale", session=False)
    old.node.client.connected = False
    assert not old.restarts_now()
    old.node.client.connected = True
    old.node.backlog.held = duties.HELD_LIVE + 1
    assert not old.restarts_now()
    old.node.backlog.held = 3
    assert old.restarts_now()


@pytest.fixture
def modules():
    """What lazy loading does to the modules of this process is undone."""
    before = {name: module for name, module in sys.modules.items() if name.startswith("barnode")}
    package = sys.modules["barnode"]
    kept = vars(package).copy()
    yield
    sys.modules.update(before)
    vars(package).update(kept)


@pytest.mark.usefixtures("modules")
def test_the_code_of_an_update_is_let_go_of_when_none_is_taken_or_maintenance_is_over(bars):
    old = Old(bars)
    with pytest.raises(ValueError, match="the loader expected"):
        asyncio.run(old.duties._update({"step": "begin"}))
    assert old.duties._updater is None
    assert "barnode.update" not in sys.modules
    asyncio.run(bars.maintenance.command({"on": True, "minutes": 1}))
    updater = old.duties._updater = lazy.load("update").Updater(None, lambda: None)
    updater._folder = "/app_a"
    old.duties.look()
    assert old.duties._updater is updater
    bars.now += 60_000
    old.duties.look()
    assert old.duties._updater is None
    assert "barnode.update" not in sys.modules
