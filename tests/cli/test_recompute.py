"""What the host recorded while it ran, against what its journal gives: late, doubled and out of order."""

import random
import sqlite3
from contextlib import closing
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from ashibar.core import requests
from ashibar.core.frame import FLAG_BACKLOG, decode, encode
from ashibar.io.journal import Batch, Journal, SafetyReader
from ashibar.replay.run import NothingRecordedError, derive_span
from ashibar.replay.source import windows
from ashibar.replay.verify import recomputed, verify_chain, verify_span
from records import T0, first_batch, frame_rows, load
from studio import FRAME_US, KG, RIG, Studio, act, end, in_order, start

SECONDS = 60
UNTIL_US = T0 + 75_000_000
REQUESTS = [
    (T0 + 12_003_000, start()),
    (T0 + 33_000_000, act("client-over-limit")),
    (T0 + 34_000_000, act("client-near-limit", "shelve", note="talking", for_s=5.0)),
    (T0 + 50_000_000, end()),
]


def session_load():
    """A session that leans, lets go for two seconds, and falls onto the bars once."""
    force_n = load(SECONDS)
    force_n[30 * 80 : 32 * 80] *= 0.15
    force_n[45 * 80 : 45 * 80 + 20] += 125.0
    force_n[58 * 80 :] *= 0.01
    return force_n


def played(path, deliveries, asked=REQUESTS, until_us=UNTIL_US):
    studio = Studio(path)
    studio.about()
    studio.play(deliveries, asked, until_us)
    studio.sum_up()
    return studio


def late(deliveries, first_s, last_s, until_s):
    """The frames of an outage come at its end, as backlog, the newest first."""
    kept, held = [], []
    for at_us, payload in deliveries:
        seconds = (at_us - T0) / 1e6
        if first_s <= seconds < last_s:
            frame = replace(decode(payload), flags=FLAG_BACKLOG)
            held.append((T0 + round(until_s * 1e6) - len(held), encode(frame)))
        else:
            kept.append((at_us, payload))
    return kept + held


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A host to which every frame came in order and in time."""
    studio = played(tmp_path_factory.mktemp("whole") / "j.sqlite", in_order(session_load()))
    yield studio
    studio.close()


def derived(studio):
    return derive_span(studio.reader, RIG, T0, UNTIL_US)


def checked(studio):
    return verify_span(studio.reader, RIG, T0, UNTIL_US, now_us=studio.now_us)


def test_all_that_a_running_host_recorded_comes_out_of_its_frames_number_by_number(whole):
    report = checked(whole)
    assert report.differences == ()
    assert (report.samples, report.sessions, report.incidents) == (4800, 1, 1)
    assert report.alarms > 20
    assert verify_chain(whole.reader).broken is None


def test_a_figure_changed_in_the_record_is_named_with_both_values(whole, tmp_path):
    journal = copied(whole, tmp_path)
    with_text = "json_set(summary, '$.client_max.value_n', 1.5)"
    journal.work(lambda connection: connection.execute(f"UPDATE sessions SET summary = {with_text}"))
    reader = SafetyReader(journal.path)
    (found,) = verify_span(reader, RIG, T0, UNTIL_US, now_us=UNTIL_US).differences
    assert "in the table client_max value_n: recorded 1.5, recomputed 6" in str(found)
    reader.close()
    journal.close()


def test_a_frame_changed_in_the_record_changes_what_follows_from_it(whole, tmp_path):
    journal = copied(whole, tmp_path)
    frames = list(whole.reader.frames_between(T0 + 45_000_000, T0 + 45_200_000))
    fallen = decode(frames[0].row.payload)
    softer = encode(replace(fallen, counts=fallen.counts // 2))
    sql = "UPDATE frames SET payload = ? WHERE id = ?"
    journal.work(lambda connection: connection.execute(sql, (softer, frames[0].id)))
    reader = SafetyReader(journal.path)
    report = verify_span(reader, RIG, T0, UNTIL_US, now_us=UNTIL_US)
    assert any("summary" in str(each) for each in report.differences)
    assert verify_chain(reader).broken is None
    reader.close()
    journal.close()


def test_a_changed_entry_of_the_log_is_named_by_its_number(whole, tmp_path):
    journal = copied(whole, tmp_path)

    def change(connection):
        connection.execute("DROP TRIGGER safety_log_update")
        connection.execute("UPDATE safety_log SET line = replace(line, 'calm', 'rough') WHERE seq > 0")

    number = next(i for i, line in enumerate(whole.reader.log_lines()) if b'"session-ended"' in line)
    journal.work(change)
    reader = SafetyReader(journal.path)
    assert verify_chain(reader).broken.seq == number
    reader.close()
    journal.close()


def copied(studio, folder):
    """A journal with the same content, to be spoilt."""
    path = folder / "copy.sqlite"
    with closing(sqlite3.connect(studio.path)) as connection:
        connection.execute("VACUUM INTO ?", (str(path),))
    return Journal(path)


@pytest.fixture(scope="module")
def outage(tmp_path_factory):
    """A host that saw nothing of fourteen seconds until four seconds after them."""
    deliveries = late(in_order(session_load()), 26, 40, 44)
    path = tmp_path_factory.mktemp("outage") / "j.sqlite"
    studio = played(path, deliveries, [REQUESTS[0], REQUESTS[-1]], T0 + 130_000_000)
    yield studio
    studio.close()


def test_frames_that_come_after_an_outage_end_in_the_same_figures(outage, tmp_path):
    plain = played(tmp_path / "k.sqlite", in_order(session_load()), [REQUESTS[0], REQUESTS[-1]])
    one, other = derived(outage), derived(plain)
    assert one.sessions == other.sessions
    assert one.sessions[0].summary.samples.missing == 0
    assert one.alarms == other.alarms
    assert one.incidents == other.incidents
    plain.close()


def test_after_a_late_delivery_the_host_records_what_follows_from_all_frames_and_keeps_what_it_said(outage):
    before = checked(outage)
    assert any(each.what.startswith("alarm") for each in before.differences)
    lines = outage.reader.log_lines()
    (span,) = outage.late
    assert (span.from_us - T0) // 1_000_000 == 25
    assert (span.to_us - T0) // 1_000_000 == 39
    outage.recompute()
    assert checked(outage).differences == ()
    log = outage.reader.log_lines()
    assert log[: len(lines)] == lines
    assert [msgspec.json.decode(line)["kind"] for line in log[len(lines) :]] == ["recomputed"]


def test_frames_that_come_after_a_session_was_summed_up_give_it_new_figures(tmp_path):
    deliveries = late(in_order(session_load()), 40, 56, 58)
    studio = Studio(tmp_path / "j.sqlite")
    studio.about()
    asked = [REQUESTS[0], REQUESTS[-1], (T0 + 52_000_000, Studio.sum_up)]
    studio.play(deliveries, asked, T0 + 130_000_000)
    (row,) = studio.reader.sessions(RIG)
    assert msgspec.json.decode(row.summary)["samples"]["stored"] < 2400
    studio.recompute()
    (row,) = studio.reader.sessions(RIG)
    assert msgspec.json.decode(row.summary)["samples"] == {"expected": 3039, "stored": 3039, "missing": 0}
    assert checked(studio).differences == ()
    assert verify_chain(studio.reader).broken is None
    studio.close()


@pytest.mark.parametrize("restarted_at_s", [44.5, 48, 125])
def test_frames_that_came_late_before_a_restart_end_in_the_same_after_it(tmp_path, restarted_at_s):
    """While they come, while the session goes on, and while they are being recomputed."""
    deliveries = late(in_order(session_load()), 26, 40, 44)
    restart = (T0 + round(restarted_at_s * 1e6), Studio.start)
    studio = played(tmp_path / "j.sqlite", deliveries, [REQUESTS[0], REQUESTS[-1], restart], T0 + 140_000_000)
    (span,) = studio.late
    assert ((span.from_us - T0) // 1_000_000, (span.to_us - T0) // 1_000_000) == (25, 39)
    assert any(each.what.startswith("alarm") for each in checked(studio).differences)
    studio.recompute()
    assert not [each for each in checked(studio).differences if each.what.startswith(("alarm", "incident"))]
    studio.start()
    studio.play([], until_us=T0 + 160_000_000)
    assert studio.late == [], "what is done is not done again"
    studio.close()


def test_where_nothing_came_late_nothing_is_recomputed(whole):
    assert whole.late == []
    assert recomputed(whole.reader, RIG, T0, UNTIL_US, now_us=whole.now_us) is None


def test_a_restart_in_the_middle_of_a_session_changes_nothing_that_is_derived(whole, tmp_path):
    asked = [*REQUESTS, (T0 + 38_001_000, lambda studio: (studio.live.settle(2**62), studio.start()))]
    studio = played(tmp_path / "j.sqlite", in_order(session_load()), asked)
    assert derived(studio).sessions[0].summary == derived(whole).sessions[0].summary
    studio.close()


def hands_off_first():
    """Twenty seconds of bars nobody touches, then hands on them, off and on again."""
    force_n = np.random.default_rng(5).normal(0, 0.3, (40 * 80, 4))
    force_n[20 * 80 : 30 * 80] += 40.0
    force_n[34 * 80 :] += 40.0
    return force_n


@pytest.mark.parametrize("restarted_at_s", [None, 15, 20.6, 25])
def test_a_session_begun_with_hands_off_is_derived_with_the_alarms_it_had(tmp_path, restarted_at_s):
    asked = [(T0 + 5_003_000, start()), (T0 + 38_000_000, end())]
    if restarted_at_s is not None:
        restart = (
            T0 + round(restarted_at_s * 1e6) + 1000,
            lambda s: (s.service.stop(s._commit, s.now_us), s.start()),
        )
        asked.append(restart)
    studio = played(tmp_path / "j.sqlite", in_order(hands_off_first()), asked)
    over = [line for line in derived(studio).alarms if line.key == "client-over-limit"]
    raised = [line for line in over if line.cause == "raise"]
    assert [(line.at_us - T0) // 1_000_000 for line in raised] == [30]
    log = [msgspec.json.decode(line) for line in studio.reader.log_lines()]
    told = [
        e["utc_us"]
        for e in log
        if e["kind"] == "alarm" and e["data"]["key"] == "client-over-limit" and e["data"]["cause"] == "raise"
    ]
    assert told == [line.at_us for line in raised]
    if restarted_at_s is None:
        assert checked(studio).differences == ()
    studio.close()


@pytest.mark.parametrize("seed", range(6))
def test_any_order_and_repetition_of_delivery_gives_the_same(tmp_path, seed):
    rows = list(frame_rows(session_load()))
    chance = random.Random(seed)
    shuffled = rows + chance.sample(rows, 100)
    chance.shuffle(shuffled)
    results = []
    for name, order in (("a", rows), ("b", shuffled)):
        journal = Journal(tmp_path / f"{name}.sqlite")
        journal.commit(first_batch())
        for first in range(0, len(order), 37):
            journal.commit(Batch(frames=order[first : first + 37]))
        reader = SafetyReader(journal.path)
        parts = list(windows(reader, ["bars"], T0 - 1, UNTIL_US))
        results.append([msgspec.json.encode(_plain(samples)) for part in parts for samples in part])
        reader.close()
        journal.close()
    assert results[0] == results[1]
    assert len(rows) == SECONDS * 1_000_000 // FRAME_US


def _plain(samples):
    return [samples.node, samples.boot, samples.first_index, samples.utc_us.tolist(), samples.counts.tolist()]


def test_a_body_weight_entered_in_mid_session_holds_from_that_sample_on(tmp_path):
    weigh = requests.Weigh(
        by="Mei", source="cli", therapist="Mei", value_n=72 * KG, weight_source="scale", confirmed=True
    )
    asked = [REQUESTS[0], (T0 + 25_002_000, lambda studio: studio.ask(weigh)), REQUESTS[-1]]
    studio = played(tmp_path / "j.sqlite", in_order(session_load()), asked)
    assert checked(studio).differences == ()
    assert derived(studio).sessions[0].session.terms.body_weight.value_n == 72 * KG
    studio.close()


def test_what_was_not_over_when_the_daemon_was_stopped_is_no_difference(tmp_path):
    studio = played(tmp_path / "j.sqlite", in_order(session_load()[: 20 * 80]), (), T0 + 20_100_000)
    studio.service.stop(studio._commit, studio.now_us)
    assert verify_span(studio.reader, RIG, T0, UNTIL_US, now_us=UNTIL_US).differences == ()
    studio.close()


def test_a_rig_that_is_not_on_record_is_refused_by_name(whole):
    with pytest.raises(NothingRecordedError, match="room-9"):
        derive_span(whole.reader, "room-9", T0, UNTIL_US)


def test_a_day_without_sessions_is_the_same_as_its_record(tmp_path):
    quiet = np.random.default_rng(3).normal(0, 0.05, (30 * 80, 4))
    studio = played(tmp_path / "j.sqlite", in_order(quiet), (), T0 + 40_000_000)
    report = checked(studio)
    assert report.differences == ()
    assert report.sessions == 0
    studio.close()
