"""The map from device time to UTC, on simulated arrivals whose truth is known."""

from dataclasses import dataclass

import numpy as np
import pytest
from ashibar.core import timefit
from ashibar.core.stamps import sample_utc_us
from ashibar.core.timefit import EpochReason
from hypothesis import assume, given
from hypothesis import strategies as st

UTC_US = 1_790_000_000_000_000
FRAME_US = 125_000
LEAST_DELAY_US = 1_000


@dataclass
class Host:
    """A host that receives one boot's frames and stamps their last samples as they come."""

    drift_ppm: float = 0.0
    jitter_us: float = 10_000.0
    utc_step_us: int = 0
    fit: timefit.TimeFit | None = None
    before: tuple[int, ...] = ()

    def __post_init__(self):
        self.rng = np.random.default_rng(7)
        self.device_us: list[int] = []
        self.stamps_us: list[int] = []
        self.truth_us: list[int] = []
        self.restamps: list[int] = []

    def truth(self, device_us):
        return UTC_US + self.utc_step_us + device_us + round(device_us * self.drift_ppm * 1e-6)

    def receive(self, device_us, *, live=True, waited_us=0):
        delay = LEAST_DELAY_US + waited_us + round(self.rng.exponential(self.jitter_us))
        arrival = self.truth(device_us) + delay
        before = self.fit
        mono_us = arrival - UTC_US - self.utc_step_us
        self.fit = timefit.observe(before, device_us, arrival, mono_us, live, before=self.before)
        if before is not None and (again := timefit.restamp_from(before, self.fit)) is not None:
            self.restamps.append(again)
        self.device_us.append(device_us)
        self.stamps_us.append(timefit.stamp_one(self.fit, device_us))
        self.truth_us.append(self.truth(device_us))

    def run(self, start_s, stop_s, **how):
        for device_us in range(round(start_s * 1e6), round(stop_s * 1e6), FRAME_US):
            self.receive(device_us, **how)

    def errors(self, first=0):
        return np.array(self.stamps_us[first:]) - np.array(self.truth_us[first:])


@pytest.mark.parametrize("drift_ppm", [-50.0, 0.0, 50.0])
@pytest.mark.parametrize("jitter_us", [1_000.0, 10_000.0, 40_000.0])
def test_stamps_stay_within_the_bound_under_jitter_and_drift(drift_ppm, jitter_us):
    host = Host(drift_ppm, jitter_us)
    host.run(0, 3600)
    errors = host.errors(first=480)
    assert timefit.bound_us(host.fit) < 7_000
    assert np.abs(errors).max() < 5_000
    assert abs(host.fit.line.ppm - drift_ppm) < 2.0
    assert (np.diff(host.stamps_us) > 0).all()
    assert len(host.fit.knots) < 60


def test_a_step_of_the_hosts_clock_begins_an_epoch_and_is_not_smeared():
    host = Host()
    host.run(0, 120)
    host.utc_step_us = -3_600_000_000
    host.run(120, 240)
    assert [epoch.reason for epoch in host.fit.epochs] == [EpochReason.FIRST_FRAME, EpochReason.CLOCK_STEP]
    assert abs(host.fit.epochs[-1].shift_us + 3_600_000_000) < 50_000
    assert np.abs(host.errors(first=480)).max() < 5_000
    assert not host.fit.provisional


@pytest.mark.parametrize("step_us", [-5 * FRAME_US, -8 * FRAME_US])
def test_no_two_samples_share_a_stamp_where_the_clock_was_set_back_over_them(step_us):
    host = Host(jitter_us=0.0)
    host.run(0, 20)
    for number in range(4):
        host.utc_step_us += step_us
        host.run(20 + 2 * number, 22 + 2 * number)
    assert len(host.fit.epochs) > 4
    assert sum(np.diff(host.stamps_us) < 0) == 4
    assert len(set(host.stamps_us)) == len(host.stamps_us)
    ends_us = np.array(host.stamps_us)
    device_us = np.array(host.device_us)[:, None] + np.arange(10) * 12_500
    samples_us = sample_utc_us(ends_us, ends_us + 9 * 12_500, device_us)
    assert len(np.unique(samples_us)) == samples_us.size


def boots_stamps_us(boots):
    """Stamps of the samples of each of the boots that follow each other: (clock set by [us], seconds)."""
    before, stamps_us, utc_step_us, now_us = (), [], 0, 0
    for step_us, seconds in boots:
        utc_step_us += step_us
        host = Host(jitter_us=0.0, utc_step_us=utc_step_us + now_us)
        host.before = before
        host.run(0.125, seconds)
        before = timefit.tops_us(host.fit)
        now_us += round(seconds * 1e6)
        ends_us = np.array(host.stamps_us)
        device_us = np.array(host.device_us)[:, None] + np.arange(10) * 12_500
        stamps_us.append(sample_utc_us(ends_us, ends_us + 9 * 12_500, device_us).reshape(-1))
    return stamps_us


def test_boots_after_a_clock_was_set_back_share_no_stamp_however_many_they_are():
    # One of 60 s, then, 50 s earlier, many short ones over the same time: a tag comes again, but not there.
    boots = [(0, 60), (-50 * 8 * FRAME_US, 2), *[(0, 2)] * 20]
    stamps_us = np.concatenate(boots_stamps_us(boots))
    assert len(np.unique(stamps_us)) == len(stamps_us)


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 0, 0, -24, -80, 40, 240]), st.integers(1, 12)), min_size=1, max_size=12
    )
)
def test_no_two_samples_of_a_node_share_a_stamp(boots):
    stretches = boots_stamps_us([(step * FRAME_US, seconds) for step, seconds in boots])
    later = [
        sum(before.max() >= stretch.min() - timefit.JUMP_US for before in stretches[:number])
        for number, stretch in enumerate(stretches)
    ]
    assume(max(later) < 8)  # of more over one another a stamp's three bits cannot tell
    stamps_us = np.concatenate(stretches)
    assert len(np.unique(stamps_us)) == len(stamps_us)


def test_where_all_tags_are_taken_the_one_whose_stamps_end_first_is_taken_again():
    # Nine stretches that begin together, each shorter than the one before.
    stretches = boots_stamps_us([(0, 40), *[(-(42 - 2 * k) * 1_000_000, 40 - 2 * k) for k in range(1, 9)]])
    tags = [int(stamps_us[0]) % 8 for stamps_us in stretches]
    assert len(set(tags[:8])) == 8
    assert tags[8] == tags[7]


def test_what_a_long_chain_has_let_go_of_still_has_its_tags():
    host = Host(jitter_us=0.0)
    host.run(0, 20)
    first = int(host.fit.knots[0].tag)
    for number in range(300):  # each is a stretch of its own; one a second further on
        host.utc_step_us += 1_000_000
        host.run(20 + 2 * number, 22 + 2 * number)
    assert len(host.fit.knots) <= timefit.KNOTS_MAX
    assert host.fit.tops_us[first] > 0


def test_samples_from_before_a_clock_step_keep_their_stamps():
    host = Host()
    host.run(0, 120)
    before = timefit.stamp(host.fit, np.array(host.device_us))
    host.utc_step_us = 5_000_000
    host.run(120, 130)
    assert np.array_equal(timefit.stamp(host.fit, np.array(host.device_us[: len(before)])), before)


def test_a_clock_step_while_nobody_listened_is_seen_by_the_arrivals():
    for step_us, reason in ((-60_000_000, EpochReason.ARRIVED_EARLY), (60_000_000, EpochReason.ARRIVED_LATE)):
        host = Host()
        host.run(0, 120)
        host.fit = timefit.restore(timefit.from_json(timefit.to_json(host.fit)), host.device_us[-1])
        host.utc_step_us = step_us
        host.run(180, 240)
        assert reason in [epoch.reason for epoch in host.fit.epochs]
        assert np.abs(host.errors(first=-320)).max() < 5_000


def test_a_backlog_burst_after_an_outage_is_stamped_when_taken_not_when_sent():
    host = Host(drift_ppm=30.0)
    host.run(0, 300)
    for device_us in range(300_000_000, 420_000_000, FRAME_US):
        host.receive(device_us, live=False, waited_us=max(0, 421_000_000 - device_us))
    host.run(420, 480)
    assert np.abs(host.errors(first=800)).max() < 5_000
    assert (np.diff(host.stamps_us) > 0).all()


def test_live_frames_that_waited_in_the_brokers_queue_do_not_pull_the_fit():
    host = Host(drift_ppm=-30.0)
    host.run(0, 300)
    for device_us in range(300_000_000, 900_000_000, FRAME_US):
        host.receive(device_us, live=True, waited_us=max(0, 905_000_000 - device_us))
    host.run(905, 960)
    assert np.abs(host.errors(first=800)).max() < 6_000
    assert len(host.fit.epochs) == 1


@pytest.mark.parametrize("live", [False, True])
def test_a_boot_first_seen_by_its_queue_is_provisional_then_stamped_anew(live):
    host = Host(drift_ppm=20.0)
    for device_us in range(0, 60_000_000, FRAME_US):
        waited_us = 60_000_000 - device_us + device_us // 100
        host.receive(device_us, live=live, waited_us=waited_us)
        assert host.fit.provisional
        assert timefit.bound_us(host.fit) is None
    queued = len(host.device_us)
    host.run(60.7, 90)
    assert not host.fit.provisional
    assert host.restamps == [0]
    assert (np.diff(host.stamps_us) > 0).all()
    again = timefit.stamp(host.fit, np.array(host.device_us))
    assert (np.diff(again) > 0).all()
    assert np.abs(again[:queued] - np.array(host.truth_us[:queued])).max() < 10_000
    assert np.abs(host.errors(first=-80)).max() < 5_000


def test_a_boot_of_backlog_alone_is_never_stamped_after_its_arrival_by_more_than_jitter():
    host = Host(jitter_us=2_000.0)
    for device_us in range(0, 60_000_000, FRAME_US):
        host.receive(device_us, live=False, waited_us=60_000_000 - device_us + device_us // 50)
    latest = host.truth(60_000_000) + 60_000_000 // 50
    assert max(host.stamps_us) <= latest + 110_000
    assert timefit.bound_us(timefit.settle(host.fit)) is None


def test_a_restored_fit_gives_the_same_stamps():
    host = Host(drift_ppm=40.0)
    host.run(0, 600)
    device_us = np.arange(0, 700_000_000, 1_250_000, dtype=np.int64)
    restored = timefit.restore(timefit.from_json(timefit.to_json(host.fit)), host.device_us[-1])
    assert np.array_equal(timefit.stamp(restored, device_us), timefit.stamp(host.fit, device_us))


def test_stamps_already_given_never_change_once_the_fit_is_settled():
    host = Host(drift_ppm=-45.0, jitter_us=40_000.0)
    host.run(0, 1200)
    again = timefit.stamp(host.fit, np.array(host.device_us))
    assert np.array_equal(again, np.array(host.stamps_us))


def test_a_batch_is_stamped_as_well_as_frame_by_frame():
    host = Host(drift_ppm=50.0)
    fit, errors, last = None, [], -1
    for start in range(0, 600_000_000, 10 * FRAME_US):
        device_us = np.arange(start, start + 10 * FRAME_US, FRAME_US, dtype=np.int64)
        truth = np.array([host.truth(us) for us in device_us.tolist()])
        arrival = truth + LEAST_DELAY_US + host.rng.exponential(10_000, 10).astype(np.int64)
        fit = timefit.observe_many(fit, device_us, arrival, arrival - UTC_US, np.ones(10, np.bool_))
        stamps = timefit.stamp(fit, device_us)
        assert stamps[0] > last
        last = int(stamps[-1])
        errors.append(np.abs(stamps - truth).max())
    assert max(errors[50:]) < 5_000


def test_an_empty_batch_for_a_new_boot_is_refused():
    none = np.empty(0, np.int64)
    with pytest.raises(ValueError, match="at least one frame"):
        timefit.observe_many(None, none, none, none, np.empty(0, np.bool_))


ARRIVALS = st.lists(
    st.tuples(
        st.integers(10_000, 2_000_000),  # device time since the frame before, of ten samples
        st.integers(0, 3_000_000),  # how long the frame waited
        st.booleans(),  # live
    ),
    min_size=1,
    max_size=80,
)


@given(ARRIVALS, st.sampled_from([-150.0, 0.0, 150.0]))
def test_stamps_are_strictly_increasing_whatever_waits_in_which_queue(arrivals, drift_ppm):
    fit, device_us, mono_us, last = None, 0, 0, None
    for spacing_us, waited_us, live in arrivals:
        device_us += spacing_us
        mono_us = max(mono_us, device_us + round(device_us * drift_ppm * 1e-6) + waited_us)
        before = fit
        fit = timefit.observe(fit, device_us, UTC_US + mono_us, mono_us, live)
        samples = device_us - np.arange(9, -1, -1, dtype=np.int64) * (spacing_us // 10)
        stamps = timefit.stamp(fit, samples)
        assert (np.diff(stamps) > 0).all()
        jumped = before is not None and fit.epochs != before.epochs and fit.epochs[-1].shift_us < 0
        if last is not None and not jumped:
            assert stamps[0] > last
        last = int(stamps[-1])


@given(ARRIVALS)
def test_the_stored_form_brings_back_the_same_fit(arrivals):
    fit, device_us = None, 0
    for spacing_us, waited_us, live in arrivals:
        device_us += spacing_us
        arrival_us = UTC_US + device_us + waited_us
        fit = timefit.observe(fit, device_us, arrival_us, arrival_us - UTC_US, live)
    assert timefit.from_json(timefit.to_json(fit)) == fit
