"""The host's power is cut at any moment: what follows from the signal is on record once, at its time."""

import random

import msgspec
import pytest
from ashibar.replay.verify import HOST_ALARMS, verify_chain, verify_span
from ashibar.service import warm
from killed import END_US, REQUESTS, RIG, KilledStudio, course
from records import T0
from studio import in_order


def lived(path, cuts, *, seed=1, stop=KilledStudio.kill, back=KilledStudio.back):
    """A studio with power cuts, each (second, seconds without power)."""
    studio = KilledStudio(path, seed=seed)
    studio.about()
    away = [(T0 + round(at_s * 1e6), T0 + round((at_s + for_s) * 1e6)) for at_s, for_s in cuts]
    asked = [each for each in REQUESTS if not any(off < each[0] < on for off, on in away)]
    for at_s, for_s in cuts:
        asked += [(T0 + round(at_s * 1e6), stop), (T0 + round((at_s + for_s) * 1e6), back)]
    studio.play(in_order(course()), asked, END_US + 20_000_000)
    studio.flush()
    studio.sum_up()
    return studio


def checked(studio):
    return verify_span(studio.reader, RIG, T0, END_US, now_us=studio.now_us)


def entries(studio, kind):
    told = [msgspec.json.decode(line) for line in studio.reader.log_lines()]
    return [each for each in told if each["kind"] == kind]


def transitions(studio):
    told = [each for each in entries(studio, "alarm") if each["data"]["key"].split(":")[0] not in HOST_ALARMS]
    return [(each["data"]["key"], each["data"]["cause"], each["utc_us"]) for each in told]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same without a power cut."""
    studio = lived(tmp_path_factory.mktemp("whole") / "j.sqlite", [])
    yield studio
    studio.close()


def test_the_course_has_all_that_can_be_lost(whole):
    assert checked(whole).differences == ()
    keys = {key for key, cause, _ in transitions(whole) if cause == "raise"}
    assert {
        "client-over-limit",
        "client-near-limit",
        "hanger-overload:left-head",
        "fall",
        "uneven-hangers:left",
    } <= keys
    assert len(entries(whole, "unattended-use-ended")) == 2


def cuts_of(seed):
    """Cuts of power at random, none while somebody asks for something."""
    chance = random.Random(seed)
    at_s, cuts = 5.0, []
    while (at_s := at_s + chance.uniform(2, 45)) < 180:
        cuts.append((at_s, chance.uniform(0.3, 8)))
        at_s += 9
    asked_s = [(at_us - T0) / 1e6 for at_us, _ in REQUESTS]
    return [cut for cut in cuts if not any(cut[0] - 0.02 < at < sum(cut) + 0.2 for at in asked_s)]


@pytest.mark.parametrize("seed", range(6))
def test_after_power_cuts_at_any_moment_the_record_is_what_follows_from_the_frames(tmp_path, seed):
    studio = lived(tmp_path / "j.sqlite", cuts_of(seed), seed=seed)
    assert checked(studio).differences == (), cuts_of(seed)
    found = transitions(studio)
    assert len(set(found)) == len(found), "each is told once"
    assert verify_chain(studio.reader).broken is None
    studio.close()


def test_after_stops_in_order_the_record_is_what_follows_from_the_frames(tmp_path):
    studio = lived(tmp_path / "j.sqlite", cuts_of(3), stop=KilledStudio.stop)
    assert checked(studio).differences == ()
    assert len(entries(studio, "daemon-stopped")) == len(cuts_of(3))
    studio.close()


def test_a_power_cut_while_the_broker_hands_out_what_it_kept_changes_nothing(tmp_path):
    """Twice in a row: of 7 s of frames a tenth, then a half is taken in before the next cut."""

    def again(studio):
        for part in (0.1, 0.5):
            studio.back(part)
            studio.kill()
        studio.back()

    studio = lived(tmp_path / "j.sqlite", [(39.7, 7.2), (57.9, 6)], back=again)
    assert checked(studio).differences == ()
    studio.close()


def test_an_alarm_pending_at_a_power_cut_is_raised_when_it_would_have_been(tmp_path, whole):
    studio = lived(tmp_path / "j.sqlite", [(40.2, 6.0)])

    def raised(of):
        line = next(line for line in transitions(of) if line[:2] == ("client-over-limit", "raise"))
        return (line[2] - T0) / 1e6

    assert raised(whole) == pytest.approx(40.35, abs=0.01), "0.3 s after the load fell, by the host's clock"
    assert raised(studio) == pytest.approx(raised(whole), abs=0.01)
    studio.close()


def test_use_without_a_session_that_outlasts_a_power_cut_is_one_use(tmp_path):
    """The host is away for longer than two uses lie apart; the bars are in use all the time."""
    studio = lived(tmp_path / "j.sqlite", [(79.0, 75.0)])
    assert checked(studio).differences == ()
    uses = entries(studio, "unattended-use-ended")
    assert [round((each["data"]["to_us"] - T0) / 1e6) for each in uses] == [16, 118]
    studio.close()


@pytest.mark.parametrize("at_s", [12.34, 40.31, 47.9, 58.2, 100.04, 178.1])
def test_what_a_host_without_power_has_not_come_to_is_no_difference(tmp_path, at_s):
    studio = KilledStudio(tmp_path / "j.sqlite", seed=3)
    studio.about()
    cut = (T0 + round(at_s * 1e6), KilledStudio.kill)
    studio.play(in_order(course()), [each for each in REQUESTS if each[0] < cut[0]] + [cut], END_US)
    assert checked(studio).differences == ()
    studio.close()


def test_more_stored_samples_than_a_start_may_take_are_named_and_recomputed(tmp_path, monkeypatch):
    monkeypatch.setattr(warm, "MOST_US", 100_000)
    studio = lived(tmp_path / "j.sqlite", [(40.2, 0.05)])
    (skipped,) = entries(studio, "samples-skipped")
    assert skipped["data"]["from_us"] < T0 + 40_200_000 <= skipped["data"]["to_us"] + 200_000
    assert checked(studio).differences
    studio.recompute()
    studio.work()
    assert checked(studio).differences == ()
    studio.close()


def test_what_only_the_host_saw_is_counted_apart_as_not_derived(whole):
    assert checked(whole).host_alarms == sum(
        each["data"]["key"].split(":")[0] in HOST_ALARMS for each in entries(whole, "alarm")
    )
    assert checked(whole).host_alarms > 0
