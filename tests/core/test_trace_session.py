"""The built-in session: what the demo plays."""

import numpy as np
import pytest
from ashibar.sim.session_trace import BODY_WEIGHT_N, CELLS, built_in_session


@pytest.mark.parametrize("seconds", [10, 30, 61.5, 600])
def test_the_session_lasts_as_long_as_asked(seconds):
    session = built_in_session(seconds)
    assert session.trace.duration_s == pytest.approx(seconds, abs=0.01)
    assert session.trace.names == CELLS
    assert session.spans[0].start_s == 0
    assert session.spans[-1].end_s == pytest.approx(seconds)


def test_it_begins_unloaded_hangs_with_the_whole_weight_and_pushes_up():
    session = built_in_session(60)
    total = session.trace.total_n
    quiet = [span for span in session.spans if span.quiet]
    assert np.abs(session.trace.forces_n[session.trace.times_s < 3]).max() == 0
    hang = next(span for span in quiet if span.label == "hang")
    during = session.trace.mean_over(hang.start_s, hang.end_s).sum()
    assert during == pytest.approx(BODY_WEIGHT_N, abs=0.1)
    assert total.max() <= BODY_WEIGHT_N + 0.1
    assert total.min() < -50


def test_quiet_stretches_stand_still_and_there_are_several():
    session = built_in_session(30)
    trace = session.trace
    assert len(session.quiet_spans) >= 6
    for start, end in session.quiet_spans:
        inside = (trace.times_s >= start + 0.01) & (trace.times_s <= end - 0.01)
        assert np.ptp(trace.forces_n[inside], axis=0).max() < 0.01


def test_at_half_a_minute_nothing_in_it_looks_like_a_fall():
    trace = built_in_session(30).trace
    rise = trace.total_n[150:] - trace.total_n[:-150]
    assert rise.max() < 30 * 9.80665


def test_a_session_too_short_is_refused():
    with pytest.raises(ValueError, match="at least 10 s"):
        built_in_session(5)
