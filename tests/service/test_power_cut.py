"""The host's power is cut at any moment: what follows from the signal is on record once, at its time."""

import random

import msgspec
import pytest
from ashibar.replay.verify import HOST_ALARMS, verify_chain, verify_span
from killed import END_US, REQUESTS, RIG, KilledStudio, course
from records import T0
from studio import in_order


def lived(path, cuts, *, seed=1, stop=KilledStudio.kill, until_us=END_US + 20_000_000):
    """A studio with power cuts, each (second, seconds without power)."""
    studio = KilledStudio(path, seed=seed)
    studio.about()
    asked = list(REQUESTS)
    for at_s, for_s in cuts:
        asked += [(T0 + round(at_s * 1e6), stop), (T0 + round((at_s + for_s) * 1e6), KilledStudio.back)]
    studio.play(in_order(course()), asked, until_us)
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


@pytest.mark.parametrize("seed", range(6))
def test_after_power_cuts_at_any_moment_the_record_is_what_follows_from_the_frames(tmp_path, seed):
    chance = random.Random(seed)
    at_s, cuts = 5.0, []
    while (at_s := at_s + chance.uniform(2, 45)) < 180:
        cuts.append((at_s, chance.uniform(0.3, 8)))
        at_s += 9
    taken = [at_us for at_us, _ in REQUESTS]
    cuts = [cut for cut in cuts if not any(cut[0] - 1 < (at - T0) / 1e6 < sum(cut) + 1 for at in taken)]
    studio = lived(tmp_path / "j.sqlite", cuts, seed=seed)
    assert checked(studio).differences == (), cuts
    found = transitions(studio)
    assert len(set(found)) == len(found), "each is told once"
    assert verify_chain(studio.reader).broken is None
    studio.close()
