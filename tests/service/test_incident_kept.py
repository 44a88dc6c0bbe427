"""An incident against retention: what is deleted around it, what is read of it a year later."""

from functools import partial

import msgspec
import numpy as np
import pytest
from ashibar.core import incident, requests
from ashibar.core.retention import Policy
from ashibar.io.journal import Reader
from ashibar.io.journal.retain import kept_spans
from ashibar.series_build import SeriesBuilder
from ashibar.upkeep import Upkeep
from bars import KG
from servers import wait_until

YEAR_US = 365 * 86_400_000_000
DRIFTED = (0.5, 0, 0, 0)
LIMIT_N = 75 * KG  # standing without hands is below it: the fall is all there is


def a_year_later(host):
    """Run two rounds of upkeep a year on, with the full rate kept for a day."""
    daemon, later_us = host.daemon, host.now_us + YEAR_US
    daemon.committer.submit(daemon.ingest.settle_idle(host.now_us + 3_600_000_000))
    assert daemon.committer.flush(5)
    rigs = [rig.name for rig in daemon.config.rigs]
    builder = SeriesBuilder(daemon.committer, daemon.config.studio, rigs, lambda: later_us)
    keeper = Upkeep(
        daemon.journal.path, daemon.committer, builder, policy=Policy(raw_days=1), utc_us=lambda: later_us
    )
    reader = Reader(daemon.journal.path)
    keeper.round(reader)  # packs, and reads the series ...
    keeper.round(reader)  # ... of what may go after that
    reader.close()


def test_an_incident_is_read_at_the_full_rate_after_retention_took_what_was_around_it(virtual):
    virtual.play(20)
    virtual.reboot(8)
    virtual.play(6, DRIFTED)
    zero = virtual.ask(requests.ZeroNow, by="Mei")
    virtual.play(9, DRIFTED)
    session = virtual.ask(
        requests.SessionStart, by="Mei", therapist="Mei", client_code="A-17",
        weight={"value_n": 70 * KG, "source": "scale"}, client_limit_n=LIMIT_N,
    )  # fmt: skip
    virtual.play(1, (12, 12, 12, 12))
    virtual.play(18, DRIFTED)
    virtual.reboot(9)
    virtual.play(20)
    row = wait_until(partial(_complete, virtual), "the incident to be over")
    fall = next(each for each in row["triggers"] if each["key"] == "fall")
    frames_before = virtual.safety.totals()[0]
    # Blocks are coarser than seconds, so what is read below cannot show a span that is a little too short.
    spans = [span[:2] for span in kept_spans(virtual.safety.connection)]
    assert any(first <= row["from_us"] and row["to_us"] < end for first, end in spans)

    a_year_later(virtual)

    from_us, to_us = fall["at_us"] - incident.BEFORE_US, fall["at_us"] + incident.AFTER_US
    assert virtual.safety.totals()[0] < frames_before
    assert not list(virtual.safety.frames_of(1, 7))
    assert (row["from_us"], row["to_us"] >= to_us) == (from_us, True)
    frames = list(virtual.safety.frames_between(from_us, to_us))
    stamps = np.array([frame.row.utc_us for frame in frames])
    assert stamps.min() <= from_us
    assert max(frame.row.utc_last_us for frame in frames) >= to_us - 12_500
    assert np.diff(stamps) == pytest.approx(500_000, abs=5_000)
    assert {frame.row.samples for frame in frames} == {40}

    context = row["context"]
    assert context["calibrations"] == {"bars-1": 1}
    assert context["zero"]["counts"] == pytest.approx(zero["counts"])
    assert context["limits"]["client_limit_n"] == pytest.approx(LIMIT_N)
    assert context["limits"]["working_load_n"] == pytest.approx([60 * KG] * 4)
    assert context["session"] == session["id"]
    assert virtual.log("incident")[0].data["context"] == msgspec.to_builtins(context)


def _complete(host):
    host.turn()
    return next((each for each in host.api.get("incidents") if each["complete"]), None)
