"""What InfluxDB gets of the record: one line a sample, the same whatever was written when."""

import numpy as np
import pytest
from ashibar.core import evaluate
from ashibar.core.rig import Cell, RigParameters, Zero
from ashibar.io.journal import Batch, Journal, Reader
from ashibar.io.journal.sinks import CORRECT_CALIBRATION
from ashibar.points import Points
from ashibar.replay import source
from ashibar.rigs import to_json
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from records import BOOT, HANGERS, SPAN, T0, ZERO, calibration_record, first_batch, frame_rows, load, params

RIG = "room-1"
LATER = T0 + 10**12


class Record:
    """A journal with one rig, and the lines a sink writes of it."""

    def __init__(self, path, batch=None):
        self.journal = Journal(path)
        self.journal.commit(batch or first_batch(RIG))
        self.reader = Reader(path)

    def store(self, rows):
        self.journal.commit(Batch(frames=list(rows)))

    def written(self, *, limit=500, now_us=LATER, mono_us=0, points=None, after=0):
        """Lines in the order they are written, and where that ends."""
        points, lines = points or Points("studio"), []
        while ready := points.ready(self.reader, after, 2**60, limit, now_us, mono_us):
            lines += ready.lines.decode().splitlines()
            after = ready.last_id
        return lines, after

    def close(self):
        self.reader.close()
        self.journal.close()


@pytest.fixture
def record(tmp_path):
    record = Record(tmp_path / "journal.sqlite")
    yield record
    record.close()


def fields(line):
    """Take apart a line without odd characters: time and fields as text."""
    rest, stamp = line.split(" ", 1)[1].rsplit(" ", 1)
    return int(stamp), dict(each.split("=", 1) for each in rest.split(","))


def spiked(seconds=4.0):
    force = load(seconds)
    force[100, 2] += 300.0
    force[163, 0] -= 300.0
    return force


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_lines_do_not_depend_on_how_frames_are_cut_into_writes(tmp_path_factory, limits):
    record = Record(tmp_path_factory.mktemp("cut") / "journal.sqlite")
    record.store(frame_rows(spiked()))
    whole, _ = record.written()
    lines, after, turn = [], 0, 0
    while ready := Points("studio").ready(record.reader, after, 2**60, limits[turn % len(limits)], LATER, 0):
        lines += ready.lines.decode().splitlines()
        after, turn = ready.last_id, turn + 1
    record.close()
    assert lines == whole
    assert len(whole) == 320


def test_frames_wait_for_what_may_change_them_and_then_are_written_once(record):
    rows = list(frame_rows(spiked()))
    points, lines, after = Points("studio"), [], 0
    for row in rows:
        record.store([row])
        more, after = record.written(points=points, after=after, now_us=row.received_us)
        lines += more
    assert len(lines) == 310  # the newest frame may yet turn out to end in a spike
    more, _ = record.written(points=points, after=after, now_us=rows[-1].received_us + 3_000_000)
    assert lines + more == record.written()[0]


def test_a_dropped_spike_keeps_its_force_and_has_no_figure(record):
    record.store(frame_rows(spiked()))
    rows = [fields(line)[1] for line in record.written()[0]]
    dropped = [number for number, row in enumerate(rows) if row["spike"] == "true"]
    assert dropped == [100, 163]
    assert "client_load_n" not in rows[100]
    assert rows[100]["validity"] == '"fault"'
    assert float(rows[100]["right_head_n"]) == pytest.approx(spiked()[100, 2], abs=0.001)
    assert all("client_load_n" in row for number, row in enumerate(rows) if number not in dropped)


def live(record, nodes):
    """The live record: samples through `advance` and `flush`, by time."""
    state, found = evaluate.start(nodes), []
    for samples in source.windows(record.reader, ["bars", "feet"], T0, LATER):
        state, result = evaluate.advance(state, samples, nodes)
        found.append(result)
    found.append(evaluate.flush(state, nodes)[1])
    return {
        int(t): (c, b, m)
        for each in found
        for t, c, b, m in zip(each.utc_us, each.client_n, each.bar_n, each.motion, strict=True)
    }


def two_nodes():
    cells = [Cell(name, "bars" if i < 2 else "feet", i % 2, 2000.0) for i, name in enumerate(HANGERS)]
    zero = Zero("session", (float(ZERO),) * 4, T0)
    return RigParameters(tuple(cells), body_weight=params().body_weight, zero=zero)


def two_node_batch():
    batch = first_batch(RIG, parameters=two_nodes())
    batch.nodes.append((2, "feet", T0))
    batch.calibrations[2, 1] = (T0, calibration_record())
    return batch


def halves(seconds=4.0, shift_us=5_000):
    force = load(seconds)
    two = np.hstack([force[:, 2:], force[:, 2:]])
    return list(frame_rows(force)), list(frame_rows(two, from_us=T0 + shift_us, node=2, boot=BOOT + 1))


def check_two_nodes(record, lines):
    expected = live(record, two_nodes())
    seen = {}
    for line in lines:
        time_us, row = fields(line)
        if "client_load_n" in row:
            seen[time_us] = row
    known = {t: value for t, value in expected.items() if np.isfinite(value[0])}
    assert seen.keys() == known.keys()
    assert len(seen) > 300
    for time_us, (client, bar, moving) in known.items():
        assert float(seen[time_us]["client_load_n"]) == pytest.approx(client, abs=6e-4)
        assert float(seen[time_us]["bar_load_n"]) == pytest.approx(bar, abs=6e-4)
        assert seen[time_us]["motion"] == str(bool(moving)).lower()


def test_a_rig_over_two_nodes_comes_out_as_the_live_record_has_it(tmp_path):
    record = Record(tmp_path / "journal.sqlite", two_node_batch())
    one, two = halves()
    for pair in zip(one, two, strict=True):
        record.store(pair)
    lines, _ = record.written(limit=7)
    check_two_nodes(record, lines)
    for node in ("bars", "feet"):
        assert sum(f"index_{node}" in fields(line)[1] for line in lines) == 320
    assert len(lines) == 640
    record.close()


def test_a_node_that_comes_late_mends_what_was_written_without_it(tmp_path):
    record = Record(tmp_path / "journal.sqlite", two_node_batch())
    one, two = halves()
    points, after, lines = Points("studio"), 0, []
    for row in one:
        record.store([row])
        more, after = record.written(points=points, after=after, now_us=row.received_us)
        lines += more
    more, after = record.written(points=points, after=after, now_us=one[-1].received_us + 3_000_000)
    lines += more
    assert len(lines) == 320
    assert not any("client_load_n" in line for line in lines)
    late = [row._replace(received_us=row.received_us + 60_000_000) for row in two]
    record.store(late)
    more, _ = record.written(points=points, after=after)
    final = {fields(line)[0]: line for line in lines + more}
    check_two_nodes(record, final.values())
    assert len(final) == 640
    record.close()


def test_a_frame_that_fills_a_gap_mends_its_neighbours(record):
    rows = list(frame_rows(spiked()))
    record.store(rows[:10] + rows[11:])
    points = Points("studio")
    lines, after = record.written(points=points)
    assert len(lines) == 310
    record.store([rows[10]._replace(received_us=rows[10].received_us + 60_000_000)])
    more, _ = record.written(points=points, after=after)
    final = {fields(line)[0]: line for line in lines + more}
    again = {fields(line)[0]: line for line in record.written()[0]}
    assert final == again
    assert len(final) == 320


def test_a_corrected_calibration_counts_wherever_counts_become_newtons(record):
    record.store(frame_rows(load(1.0)))
    before = [fields(line) for line in record.written()[0]]
    text = calibration_record().replace(str(SPAN), str(2 * SPAN))
    record.journal.commit(Batch(statements=[(CORRECT_CALIBRATION, [(1, 1, T0, text)])]))
    after = [fields(line) for line in record.written()[0]]
    assert [time_us for time_us, _ in after] == [time_us for time_us, _ in before]
    for (_, new), (_, old) in zip(after, before, strict=True):
        assert float(new["left_head_n"]) == pytest.approx(2 * float(old["left_head_n"]), abs=2e-3)


def test_a_span_is_given_in_slices_each_sample_once(record):
    record.store(frame_rows(load(150.0)))
    points = Points("studio")
    slices = list(points.of_span(record.reader, T0, T0 + 149_000_000))
    lines = [line for _, part in slices for line in part.decode().splitlines()]
    assert len(slices) == 3
    assert len(lines) == len(set(lines)) == 149 * 80
    assert set(lines) <= set(record.written()[0])


def test_a_span_without_samples_is_passed_in_one_step(record):
    record.store(frame_rows(load(1.0)))
    year_us = 365 * 86_400_000_000
    steps = list(Points("studio").of_span(record.reader, T0 - year_us, T0 + year_us))
    assert sum(len(part.splitlines()) for _, part in steps) == 80
    assert len(steps) < 5


def test_parameters_of_the_time_of_each_sample_count(record):
    record.store(frame_rows(load(2.0)))
    heavier = to_json(params(weight_kg=90.0))
    record.journal.commit(Batch(parameters=[(RIG, T0 + 1_000_000, heavier)]))
    rows = [fields(line) for line in record.written()[0]]
    sums = {round((float(row["client_load_n"]) + float(row["bar_load_n"])) / 9.80665) for _, row in rows[:80]}
    assert sums == {70}
    sums = {round((float(row["client_load_n"]) + float(row["bar_load_n"])) / 9.80665) for _, row in rows[80:]}
    assert sums == {90}


def stepped_back(seconds=50.0):
    """Frames of 8 s; after 5 s the host's clock is set back, the samples' stamps with it."""
    rows = list(frame_rows(spiked(8.0)))
    back_us = round(seconds * 1e6)
    turned = [
        row._replace(
            utc_us=row.utc_us - back_us,
            utc_last_us=row.utc_last_us - back_us,
            received_us=row.received_us - back_us,
        )
        for row in rows[40:]
    ]
    return rows[:40], turned


def test_a_clock_set_back_holds_nothing_up_until_its_time_comes_again(record):
    before, turned = stepped_back()
    points, lines, after, mono_us = Points("studio"), [], 0, 10**9
    for row in before + turned:
        record.store([row])
        mono_us += 125_000
        more, after = record.written(points=points, after=after, now_us=row.received_us, mono_us=mono_us)
        lines += more
        if row is turned[20]:  # 2.6 s after the step
            assert after >= 40
    more, after = record.written(
        points=points, after=after, now_us=turned[-1].received_us, mono_us=mono_us + 2_100_000
    )
    assert after == 64
    final = {fields(line)[0]: line for line in lines + more}
    assert len(final) == 640
    assert final == {fields(line)[0]: line for line in record.written()[0]}
