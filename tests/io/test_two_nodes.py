"""A rig on two nodes, live with a change of parameters in its middle, and derived again from the record."""

import msgspec
import numpy as np
import pytest
from ashibar.core.units import NEWTON_PER_KG as KG
from ashibar.points import Points
from ashibar.replay.verify import verify_chain, verify_span
from records import BOOT, FRAME_US, HANGERS, T0, load, payloads
from studio import LATENCY_US, RIG, Studio, config, end, requests, start

SECOND_US = 1_000_000


def two_nodes():
    cells = [
        {
            "hanger": name, "node": "bars" if i < 2 else "feet", "channel": i % 2, "capacity_kg": 200,
            "class": "0.2%", "working_load_kg": 60,
        }
        for i, name in enumerate(HANGERS)
    ]  # fmt: skip
    return config(rig=[{"name": RIG, "cell": cells}])


def frames(node, force_n, boot, shift_us):
    """What delivers a node's frames, each as soon as it is full."""

    def deliver(payload):
        return lambda studio: studio.hear("samples", payload, node)

    found = payloads(force_n, boot=boot)
    return [(T0 + shift_us + (seq + 1) * FRAME_US + LATENCY_US, deliver(payload)) for seq, payload in found]


def heavier(studio):
    """A session of a therapist of 80 kg: other parameters from here on."""
    weight = requests.WeightGiven(value_n=80 * KG, source="scale")
    studio.ask(
        requests.SessionStart(by="Ada", source="cli", therapist="Ada", client_code="c-2", weight=weight)
    )


def lived(path, force, cuts_s=()):
    """Two sessions; the host is dropped and started anew at `cuts_s`."""
    studio = Studio(path, two_nodes())
    studio.about("bars", BOOT, HANGERS[:2])
    studio.about("feet", BOOT + 1, HANGERS[2:])
    both = frames("bars", force[:, :2], BOOT, 0) + frames("feet", force[:, 2:], BOOT + 1, 5_000)
    asked = [(1.0, start()), (9.0, end()), (10.0, heavier), (19.0, end())]
    asked += [(at_s, Studio.start) for at_s in cuts_s]
    deeds = [(T0 + round(at_s * SECOND_US), do) for at_s, do in asked]
    studio.play([], sorted(both + deeds, key=lambda each: each[0]), until_us=T0 + 24 * SECOND_US)
    studio.journal.commit(studio.ingest.settle_idle(studio.now_us + 3600 * SECOND_US))
    studio.sum_up()
    return studio


@pytest.fixture
def played(tmp_path):
    force = load(20.0)
    studio = lived(tmp_path / "journal.sqlite", force)
    yield studio, force
    studio.close()


@pytest.mark.parametrize("cuts_s", [(), (0.7, 8.2, 8.6, 10.001), (1.02, 8.01, 13.2, 19.01)])
def test_a_rig_on_two_nodes_goes_on_after_a_kill_where_it_was(tmp_path, cuts_s):
    """With one incident that reaches into both sessions: each counts it."""
    force = load(20.0)
    force[8 * 80 : 8 * 80 + 60] *= 0.1
    force[13 * 80 : 13 * 80 + 30] += 120
    studio = lived(tmp_path / "journal.sqlite", force, cuts_s)
    assert verify_span(studio.reader, RIG, T0, T0 + 20 * SECOND_US, now_us=studio.now_us).differences == ()
    counted = [msgspec.json.decode(row.summary)["incidents"] for row in studio.reader.sessions(RIG)]
    assert counted == [1, 1]
    studio.close()


def test_a_rig_on_two_nodes_replays_as_it_was_live_across_a_change_of_parameters(played):
    studio, _ = played
    report = verify_span(studio.reader, RIG, T0, T0 + 20 * SECOND_US, now_us=studio.now_us)
    assert verify_chain(studio.reader).broken is None
    assert report.differences == ()
    assert report.sessions == 2
    assert len({record for _, _, record in studio.reader.parameters(RIG)}) > 1


def test_each_session_on_two_nodes_has_the_mean_load_of_its_own_weight(played):
    studio, force = played
    total_n = force.sum(axis=1)
    rows = studio.reader.sessions(RIG)[::-1]
    for row, (first_s, last_s, weight_kg) in zip(rows, [(1, 9, 70), (10, 19, 80)], strict=True):
        mean_n = msgspec.json.decode(row.summary)["mean_client_n"]
        assert mean_n == pytest.approx(weight_kg * KG - total_n[first_s * 80 : last_s * 80].mean(), abs=1.0)


def test_points_on_both_sides_of_the_change_have_the_weight_of_their_time(played):
    studio, _ = played
    lines = Points("test")(studio.reader.frames_after(0, 10_000), studio.reader).decode().splitlines()
    sums = []
    for line in lines:
        given, stamp = line.split(" ", 1)[1].rsplit(" ", 1)
        row = dict(each.split("=", 1) for each in given.split(","))
        if "client_load_n" in row:
            sums.append((int(stamp), float(row["client_load_n"]) + float(row["bar_load_n"])))
    at_us, sums_n = np.array(sums).T
    in_first = (at_us > T0 + 1.5 * SECOND_US) & (at_us < T0 + 9 * SECOND_US)
    in_second = (at_us > T0 + 10.5 * SECOND_US) & (at_us < T0 + 19 * SECOND_US)
    assert np.unique(np.rint(sums_n[in_first] / KG)).tolist() == [70]
    assert np.unique(np.rint(sums_n[in_second] / KG)).tolist() == [80]
    assert in_first.sum() > 500
    assert in_second.sum() > 500
