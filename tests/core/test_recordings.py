"""The load model against recordings of real people and real converters, laid onto a rig."""

import numpy as np
import pytest
from ashibar.core import zero
from ashibar.core.evaluate import NodeSamples
from loads import (
    HANGERS,
    HOUR_US,
    KG,
    SHARES,
    T0,
    block_mean,
    calibration,
    column,
    jump,
    kistler,
    rig,
    run,
    samples,
    stamps,
)

PHASES = np.arange(8) / 8


def rng():
    return np.random.default_rng(20)


def at_80(recordings, phase=0.0):
    """The jump as 80 SPS block means: time, total force, stamps."""
    time_s, force_n = block_mean(*jump(recordings), phase=phase)
    return time_s, force_n, T0 + np.round(time_s * 1e6).astype(np.int64)


def test_four_corners_sum_to_437_newtons_with_the_spread_of_the_sum(recordings):
    corners = kistler(recordings)
    _, parts = run(rig(), samples(corners, utc_us=stamps(len(corners), 100)))
    bar_n = column(parts, "bar_n")
    assert len(bar_n) == 2000
    assert bar_n.mean() == pytest.approx(437.2, abs=0.1)
    assert bar_n.std() == pytest.approx(2.0, abs=0.1)
    of_corners = column(parts, "force_n").std(axis=0)
    assert of_corners.min() > 2.0
    assert np.hypot.reduce(of_corners) > 3 * bar_n.std()


@pytest.mark.parametrize("phase", PHASES)
def test_motion_follows_a_person_who_steps_on_stands_jumps_and_stands(recordings, phase):
    _, force_n, utc_us = at_80(recordings, phase)
    _, parts = run(rig(), samples(force_n[:, None] * SHARES, utc_us=utc_us))
    moving, time_s = column(parts, "motion"), (column(parts, "utc_us") - T0) / 1e6
    changes = time_s[1:][np.diff(moving.astype(int)) != 0]
    on, off, on_again, off_again = changes[:4]
    assert not moving[0]
    assert on == pytest.approx(1.3, abs=0.05)
    assert off <= 4.1
    assert on_again == pytest.approx(4.2, abs=0.05)
    assert off_again <= 8.0


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("shares", [SHARES, (0.25,) * 4, (0.5, 0.5, 0, 0), (1, 0, 0, 0)])
def test_a_landing_stays_whole_at_any_phase_and_spread(recordings, phase, shares):
    time_s, force_n, utc_us = at_80(recordings, phase)
    state, parts = run(rig(), samples(force_n[:, None] * np.asarray(shares), utc_us=utc_us))
    assert state.spikes_dropped == 0
    assert len(column(parts, "utc_us")) == len(time_s)
    assert state.peaks.bar_max_n == pytest.approx(force_n.max(), abs=0.01)


@pytest.mark.parametrize("phase", PHASES)
def test_a_rule_of_two_neighbours_would_have_dropped_samples_of_the_landing_peak(recordings, phase):
    time_s, force_n, _ = at_80(recordings, phase)
    before, here, after = force_n[:-2], force_n[1:-1], force_n[2:]
    lonely = (np.minimum(np.abs(here - before), np.abs(here - after)) > 5 * KG) & (
        np.sign(here - before) == np.sign(here - after)
    )
    landing = (time_s[1:-1] > 5.6) & (time_s[1:-1] < 5.9)
    assert 1 <= (lonely & landing).sum() <= 3


def with_spikes(force_n, first):
    """The same with 6 to 60 kg added to or taken from one cell at every 17th sample; where that was."""
    random = rng()
    spiked, at = force_n.copy(), np.arange(first, len(force_n) - 5, 17)
    size = random.uniform(6, 60, len(at)) * random.choice([-1, 1], len(at)) * KG
    spiked[at, random.integers(0, 4, len(at))] += size
    return spiked, at


def found_of(force_n, utc_us, first=5):
    spiked, at = with_spikes(force_n, first)
    _, parts = run(rig(), samples(spiked, utc_us=utc_us))
    found = {spike.utc_us for part in parts for spike in part.spikes}
    injected = set(utc_us[at].tolist())
    assert not found - injected, "a real sample was dropped"
    kept = ~np.isin(utc_us, sorted(found))
    assert np.array_equal(column(parts, "utc_us"), utc_us[kept])
    return len(found) / len(at)


@pytest.mark.parametrize("first", range(5, 13))
def test_spikes_in_one_corner_of_a_standing_person_are_found(recordings, first):
    corners = kistler(recordings)
    assert found_of(corners, stamps(len(corners), 100), first) >= 0.95


@pytest.mark.parametrize("name", ["samples_a931659d.txt", "samples_bbcbac1e.txt"])
def test_spikes_in_one_cell_of_a_real_converter_are_found(recordings, name):
    total_n = 100 * np.loadtxt(recordings / "hx711_logs" / name) / 1000 * KG
    assert found_of(total_n[:, None] * SHARES, stamps(len(total_n))) >= 0.95


def test_spikes_while_a_person_stands_between_jumps_are_found_and_the_jump_is_kept(recordings):
    time_s, force_n, utc_us = at_80(recordings)
    assert 0.7 < found_of(force_n[:, None] * SHARES, utc_us) < 0.95, (
        "what moves fast cannot be told from a spike"
    )
    still = (time_s > 3.0) & (time_s < 4.2)
    assert found_of(force_n[still, None] * SHARES, utc_us[still]) >= 0.95


def test_no_zero_swallows_a_slow_real_decline(recordings):
    total_n = 100 * np.loadtxt(recordings / "hx711_logs" / "samples_bbcbac1e.txt") / 1000 * KG
    params, counts = rig(zero_max_age_s=1e9), None
    for automatic in (True, False):
        for at in range(0, len(total_n) - 400, 200):
            window = samples(total_n[at : at + 400, None] * SHARES, utc_us=stamps(400))
            answer = zero.propose([window], params, int(window.utc_us[-1]), automatic=automatic)
            assert answer.zero is None
            assert "kg" in answer.reason
            counts = window.counts
    assert counts is not None


def test_a_zero_that_takes_itself_swallows_at_most_a_kilogram_of_a_decline(recordings):
    total_n = 200 * np.loadtxt(recordings / "hx711_logs" / "samples_bbcbac1e.txt") / 1000 * KG
    decline_n = total_n - total_n[:40].mean()
    assert decline_n.min() < -4 * KG
    params, taken = rig(), []
    for at in range(0, len(decline_n) - 400, 50):
        window = samples(decline_n[at : at + 400, None] * SHARES, utc_us=stamps(400))
        answer = zero.propose([window], params, int(window.utc_us[-1]), automatic=True)
        if answer.zero is not None:
            params = rig(zero=answer.zero)
            taken.append(sum(answer.drift_n))
    assert taken, "near zero it may be taken"
    assert min(taken) >= -1.0 * KG
    assert (
        zero.propose([window], params, int(window.utc_us[-1]), automatic=True, session_live=True).zero is None
    )


def test_counts_of_the_recorded_converter_give_its_grams(recordings):
    lines = (recordings / "hx711_logs" / "scale_config_bbcbac1e.ini").read_text().splitlines()
    known = dict(line.split(" = ") for line in lines if " = " in line)
    factor, tare = float(known["scale_factor"]), float(known["tare_value"])
    grams = np.loadtxt(recordings / "hx711_logs" / "samples_bbcbac1e.txt")
    counts = np.round(grams / factor + tare).astype(np.int32)[:, None]
    made = calibration(1)
    made = type(made)(2, T0 - HOUR_US, (tare,), (factor / 1000 * KG,))
    params = rig(nodes=("bars",), names=HANGERS[:1])
    _, parts = run(params, NodeSamples("bars", 1, 0, stamps(len(counts)), counts, made))
    assert np.abs(column(parts, "bar_n") / KG * 1000 - grams).max() < factor
