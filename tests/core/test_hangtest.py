"""The hang test as a person goes through it."""

import numpy as np
import pytest
from ashibar.core import hangtest
from ashibar.core.rig import RigParameters
from loads import HANGERS, KG, T0, column, cut, rig, run, samples


def bars(*stretches, noise_kg=0.1):
    """Bar load [S, 4] in newtons from (seconds, kilograms) stretches at 80 SPS."""
    random = np.random.default_rng(6)
    total = np.concatenate([np.full(round(80 * seconds), kg) for seconds, kg in stretches])
    return (total + random.normal(0, noise_kg, len(total)))[:, None] * KG / 4 * np.ones(4)


def hung(*stretches, scale_kg=70.0, noise_kg=0.1, params: RigParameters | None = None):
    test = hangtest.begin(T0, None if scale_kg is None else scale_kg * KG)
    _, parts = run(params or rig(), *cut(samples(bars(*stretches, noise_kg=noise_kg)), [100, 333, 700]))
    for part in parts:
        test = hangtest.advance(test, part)
    return test


def test_hanging_still_for_ten_seconds_passes_and_weighs():
    test = hung((2, 0), (11, 70.3))
    assert (test.phase, test.progress) == ("passed", 1.0)
    assert test.median_n / KG == pytest.approx(70.3, abs=0.05)
    assert test.mad_n / KG == pytest.approx(0.067, abs=0.02)
    weight = test.body_weight(T0)
    assert (weight.source, weight.value_n) == ("hang", test.median_n)


def test_the_uncertainty_joins_the_scatter_and_the_bars():
    calm, restless = hung((1, 0), (11, 70), noise_kg=0.02), hung((1, 0), (11, 70), noise_kg=0.6)
    assert restless.u_n > calm.u_n
    _, parts = run(rig(), samples(bars((11, 70), noise_kg=0.02)))
    assert calm.u_n == pytest.approx(column(parts, "u_bar_n")[-1], rel=0.02)
    assert restless.u_n == pytest.approx(np.hypot(calm.u_n, 1.4826 * restless.mad_n), rel=0.02)


@pytest.mark.parametrize(("kg", "phase"), [(71.0, "passed"), (71.2, "failed"), (68.8, "failed")])
def test_it_must_agree_with_the_scale_within_one_and_a_half_percent(kg, phase):
    test = hung((1, 0), (11, kg))
    assert test.phase == phase
    assert f"{test.median_n / KG:.1f} kg" in test.reason


def test_a_light_person_has_a_kilogram():
    assert hung((1, 0), (11, 50.9), scale_kg=50).phase == "passed"
    assert hung((1, 0), (11, 51.1), scale_kg=50).phase == "failed"


def test_without_a_scale_it_passes_and_says_so():
    test = hung((1, 0), (11, 64), scale_kg=None)
    assert test.phase == "passed"
    assert "no scale" in test.reason


def test_restless_hanging_fails_with_the_figure():
    test = hung((1, 0), (11, 70), noise_kg=1.0)
    assert test.phase == "failed"
    assert "allowed is 0.5 kg" in test.reason
    with pytest.raises(ValueError, match="passed"):
        test.body_weight(T0)


def test_only_the_last_five_seconds_count():
    assert hung((1, 0), (4.5, 60), (6.5, 70.2)).median_n / KG == pytest.approx(70.2, abs=0.05)


def test_feet_down_too_early_fails():
    test = hung((1, 0), (6, 70), (5, 10))
    assert test.phase == "failed"
    assert "ten seconds" in test.reason


def test_half_hanging_is_no_weight():
    test = hung((1, 0), (11, 35), scale_kg=None)
    assert test.phase == "failed"
    assert "feet clear" in test.remedy


def test_nobody_hanging_ends_it_after_a_minute():
    test = hung((61, 0))
    assert (test.phase, test.reason) == ("failed", "Nobody hung from the bars.")


def test_it_says_what_to_do_and_how_far_it_is():
    assert "lift both feet" in hung((1, 0)).say
    test = hung((1, 0), (5.01, 70))
    assert test.phase == "hanging"
    assert "until ten seconds" in test.say
    assert test.progress == pytest.approx(0.5, abs=0.01)
    assert not test.over


def test_bars_that_are_not_zeroed_fail_it():
    assert "not zeroed" in hung((1, 0), params=rig(zero_max_age_s=60.0)).reason


def unreadable(first, count, *, pieces=()):
    """A hang test of somebody of 70 kg in which a cell cannot be read for `count` samples."""
    made = samples(bars((1, 0), (11, 70)))
    made.counts[first : first + count, 1] = -0x800001
    _, parts = run(rig(), *cut(made, list(pieces)))
    test = hangtest.begin(T0)
    for part in parts:
        test = hangtest.advance(test, part, HANGERS)
    return test


@pytest.mark.parametrize("first", [40, 300, 860])
def test_a_cell_that_cannot_be_read_for_less_than_a_fifth_of_a_second_does_not_end_it(first):
    for count in (1, 16):
        test = unreadable(first, count, pieces=[first + 5, first + 10])
        assert (test.phase, test.reason[:22]) == ("passed", "The bars read 70.0 kg.")


def test_a_cell_that_stays_unreadable_fails_it_by_name_and_fault():
    test = unreadable(300, 17, pieces=[305, 310])
    assert test.phase == "failed"
    assert test.reason == "left-foot does not answer."
    assert "cable of this cell" in test.remedy


def test_many_short_dropouts_do_not_add_up():
    made = samples(bars((1, 0), (11, 70)))
    made.counts[100::20, 1] = -0x800001
    _, parts = run(rig(), made)
    assert hangtest.advance(hangtest.begin(T0), parts[0]).phase == "passed"


def test_missing_data_fail_it():
    first, _, last = cut(samples(bars((1, 0), (11, 70))), [300, 350])
    _, parts = run(rig(), [first, last])
    assert "missing" in hangtest.advance(hangtest.begin(T0), parts[0]).reason


def test_it_can_be_stopped_once():
    stopped = hangtest.cancel(hangtest.begin(T0))
    assert stopped.phase == "failed"
    assert hangtest.cancel(stopped) is stopped


def test_samples_from_before_it_began_do_not_count():
    _, parts = run(rig(), samples(bars((11, 70))))
    test = hangtest.advance(hangtest.begin(T0 + 5_000_000), parts[0])
    assert test.phase == "hanging"


def test_the_share_of_body_weight_needs_no_span():
    span = 1.07
    assert hangtest.fraction(28 * KG * span, 70 * KG * span) == pytest.approx(0.6)
    with pytest.raises(ValueError, match="40 kg"):
        hangtest.fraction(1.0, 10.0)
