"""The live figure: a number when there is one, else the reason and what to do."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from ashibar.core.bodyweight import BodyWeight
from ashibar.core.evaluate import NodeSamples, advance, start
from ashibar.core.figure import Figure, figure
from ashibar.core.rig import Target
from loads import HOUR_US, KG, T0, rig, samples, stamps, steady

END_US = int(stamps(200)[-1])


def shown(params, *made, after_us=80_000, before=None):
    state, _ = advance(start(params), list(made), params)
    return figure(state, params, END_US + after_us, before)


def test_a_valid_figure_says_it_all():
    now = shown(rig(), samples(steady([10, 5, 8, 7])))
    assert (now.validity, now.reason, now.flags) == ("valid", "", [])
    assert (now.client.text, now.client.u_text, now.client.unit) == ("40.0", "2.0", "kg")
    assert now.client.u_n / KG == pytest.approx(1.58, abs=0.03)
    assert now.client.value_n == pytest.approx(40 * KG, abs=0.05)
    assert (now.bar.text, now.left.text, now.right.text) == ("30.0", "15.0", "15.0")
    assert now.fraction == pytest.approx(40 / 70, abs=1e-3)
    assert (now.body_weight.text, now.body_weight.u_text) == ("70.0", "1.0")
    assert [hanger.force.text for hanger in now.hangers] == ["10.0", "5.0", "8.0", "7.0"]
    assert [hanger.name for hanger in now.hangers] == ["left-head", "left-foot", "right-head", "right-foot"]
    assert now.age_s == pytest.approx(0.08)
    assert (now.motion, now.hands_off, now.band) == (False, False, None)
    assert now.peak.text == "40.0"


def test_it_survives_the_wire():
    now = shown(rig(), samples(steady([10, 5, 8, 7])))
    assert msgspec.json.decode(msgspec.json.encode(now), type=Figure) == now
    assert b"NaN" not in msgspec.json.encode(shown(rig(), samples(steady([5, 5, 5]))))


@pytest.mark.parametrize(
    ("changes", "validity", "says"),
    [
        ({"weight_kg": None}, "no body weight", "weight"),
        ({"zero_max_age_s": 60.0}, "not zeroed", "Zero"),
        ({"session_required": True}, "not in session", "session"),
    ],
)
def test_without_what_it_needs_there_is_no_figure_but_a_reason_and_a_remedy(changes, validity, says):
    now = shown(rig(**changes), samples(steady([5] * 4)))
    assert now.client is None
    assert now.fraction is None
    assert now.peak is None
    assert now.validity == validity
    assert says in now.reason + now.remedy


def test_an_unzeroed_rig_shows_no_force_at_all():
    now = shown(rig(zero_max_age_s=60.0), samples(steady([5] * 4)))
    assert now.bar is None
    assert now.left is None
    assert [hanger.force for hanger in now.hangers] == [None] * 4


def test_the_bars_are_shown_while_the_body_weight_is_not_known():
    now = shown(rig(weight_kg=None), samples(steady([5] * 4)))
    assert now.bar.text == "20.0"
    assert now.body_weight is None


def test_an_expired_body_weight_is_none():
    old = BodyWeight(700.0, "scale", 3.0, END_US - 12 * HOUR_US)
    now = shown(replace(rig(), body_weight=old), samples(steady([5] * 4)))
    assert now.validity == "no body weight"
    assert "too long ago" in now.reason
    assert now.client is None


def test_an_overdue_calibration_shows_the_figure_with_a_flag():
    now = shown(rig(calibration_due_us=T0), samples(steady([5] * 4)))
    assert now.validity == "calibration overdue"
    assert now.client.text == "50.0"


@pytest.mark.parametrize("after_us", [1_000_001, 3_600_000_000, -1_500_000])
def test_a_second_without_samples_leaves_no_number_anywhere(after_us):
    now = shown(rig(), samples(steady([5] * 4)), after_us=after_us)
    assert now.validity == "stale"
    numbers = [
        now.client,
        now.bar,
        now.left,
        now.right,
        now.peak,
        now.fraction,
        *(h.force for h in now.hangers),
    ]
    assert numbers == [None] * len(numbers)
    assert now.reason
    assert now.remedy


def test_a_second_old_at_most_is_fresh():
    assert shown(rig(), samples(steady([5] * 4)), after_us=1_000_000).validity == "valid"


def test_before_the_first_sample_there_is_no_data():
    params = rig()
    now = figure(start(params), params, END_US)
    assert (now.validity, now.age_s, now.sample_utc_us) == ("stale", None, None)


def test_a_faulty_cell_takes_the_figure_and_names_itself():
    made = samples(steady([5] * 4))
    made.counts[-3:, 2] = -0x800001
    now = shown(rig(), made)
    assert now.validity == "fault"
    assert now.client is None
    assert now.bar is None
    assert now.right is None
    assert now.left.text == "10.0"
    assert "right-head" in now.reason
    assert [hanger.state for hanger in now.hangers] == ["ok", "ok", "not ready", "ok"]
    assert [hanger.force is None for hanger in now.hangers] == [False, False, True, False]


def test_a_fault_that_is_over_does_not_linger():
    made = samples(steady([5] * 4))
    made.counts[-40:-1, 2] = -0x800001
    assert shown(rig(), made).client.text == "50.0"


def test_a_silent_node_of_two_is_a_fault_that_names_its_hangers():
    params = rig(nodes=("a", "a", "b", "b"))
    made = [samples(steady([5, 5]), node="a"), samples(steady([5, 5], 100), node="b")]
    now = shown(params, *made)
    assert now.validity == "fault"
    assert now.reason == "right-head and right-foot send no data."
    assert now.client is None
    assert now.left.text == "10.0"


def test_the_worst_condition_leads_and_all_are_flagged():
    made = samples(steady([5] * 4), known=False)
    now = shown(rig(weight_kg=None, calibration_due_us=T0, session_required=True), made)
    assert now.flags == ["fault", "not in session", "not zeroed", "no body weight", "calibration overdue"]
    assert now.validity == "fault"


def test_a_moving_load_keeps_its_figure_and_says_so():
    force_n = steady([5] * 4)
    force_n[150:] += KG
    now = shown(rig(), samples(force_n))
    assert (now.validity, now.motion) == ("motion", True)
    assert now.client is not None


def test_hands_off_shows_the_full_weight_with_the_words():
    now = shown(rig(), samples(steady([0.2, -0.1, 0, 0.1])))
    assert now.hands_off
    assert now.client.text == "70.0"


def test_pushing_one_bar_and_pulling_the_other_is_not_hands_off():
    assert not shown(rig(), samples(steady([4, 4, -4, -4]))).hands_off


def test_pushing_up_shows_more_than_body_weight_and_a_negative_bar():
    now = shown(rig(), samples(steady([-5] * 4)))
    assert (now.client.text, now.bar.text) == ("90.0", "\u221220.0")
    assert now.fraction > 1


@pytest.mark.parametrize(
    ("kg", "band"),
    [(56, "below"), (40, "in"), (28, "above"), (7, "over")],
    ids=["light", "band", "high", "limit"],
)
def test_the_band_is_the_studios(kg, band):
    params = rig(target=Target(low=0.3, high=0.5, limit=0.8))
    assert shown(params, samples(steady([kg / 4] * 4))).band == band


def test_a_limit_may_be_a_force_and_there_is_no_band_without_a_figure():
    assert shown(rig(target=Target(limit_n=300.0)), samples(steady([5] * 4))).band == "over"
    assert shown(rig(target=Target(limit_n=600.0)), samples(steady([5] * 4))).band == "in"
    assert shown(rig(weight_kg=None, target=Target(limit_n=300.0)), samples(steady([5] * 4))).band is None


@pytest.mark.parametrize(("unit", "text"), [("lb", "110"), ("N", "490"), ("%", "71")])
def test_units_are_the_persons_choice(unit, text):
    now = shown(rig(unit=unit), samples(steady([5] * 4)))
    assert (now.client.text, now.client.unit) == (text, unit)


def test_body_weight_in_percent_of_itself_is_shown_in_kilograms():
    now = shown(rig(unit="%"), samples(steady([5] * 4)))
    assert (now.body_weight.text, now.body_weight.unit) == ("70.0", "kg")


def test_the_digits_on_display_stay_until_the_value_has_left_their_step():
    params = rig()
    first = shown(params, samples(steady([5.05] * 4)))
    second = shown(params, samples(steady([5.07] * 4)), before=first)
    assert (first.client.text, second.client.text) == ("50.0", "50.0")
    assert shown(params, samples(steady([5.07] * 4))).client.text == "49.5"


def test_the_peak_is_that_of_the_full_rate():
    force_n = steady([5] * 4)
    force_n[50:52] -= 10 * KG
    now = shown(rig(), samples(force_n))
    assert (now.client.text, now.peak.text) == ("50.0", "90.0")


def test_a_spike_is_counted_and_not_seen():
    force_n = steady([5] * 4)
    force_n[100, 2] += 40 * KG
    now = shown(rig(), samples(force_n))
    assert now.spikes_dropped == 1
    assert (now.peak.text, now.motion) == ("50.0", False)


def test_a_sample_that_may_be_a_spike_does_not_reach_the_display():
    force_n = steady([5] * 4)
    force_n[-1, 2] += 40 * KG
    now = shown(rig(), samples(force_n))
    assert now.client.text == "50.0"
    assert not now.motion


def test_one_frame_after_the_other_moves_the_figure_without_lag():
    params = rig()
    state = start(params)
    force_n = np.vstack([steady([5] * 4, 80), steady([10] * 4, 40)])
    whole = samples(force_n)
    for at in range(0, 120, 10):
        part = NodeSamples(
            "bars", 1, at, whole.utc_us[at : at + 10], whole.counts[at : at + 10], whole.calibration
        )
        state, _ = advance(state, [part], params)
    now = figure(state, params, int(whole.utc_us[-1]))
    assert now.sample_utc_us == whole.utc_us[-1]
    assert now.client.value_n == pytest.approx(30 * KG, abs=0.5 * KG)


@pytest.mark.parametrize(("kind", "u_kg", "u_text"), [("0.2%", 1.58, "2.0"), ("C3", 0.67, "1.0")])
def test_the_worked_example_of_the_documentation_comes_out(kind, u_kg, u_text):
    now = shown(rig(weight_kg=62.0, kind=kind), samples(steady([9, 7, 5, 3])))
    assert (now.bar.text, now.client.text, now.client.u_text) == ("24.0", "38.0", u_text)
    assert now.client.u_n / KG == pytest.approx(u_kg, abs=0.01)
    assert round(now.fraction, 2) == 0.61
