"""The daemon is away while four nodes go on at the full rate: the broker keeps it, the daemon catches up."""

import pytest
from ashibar.io.journal import SafetyReader
from ashibar.replay.verify import verify_chain, verify_span
from outage import NODES, play
from servers import find_program

KILLED_WITHIN_S = 6  # of its first frame the daemon had come back from the kill, in the time of the samples


@pytest.fixture(scope="module")
def outage(tmp_path_factory):
    """What was measured of an outage of a minute, and the journal after it."""
    if find_program("mosquitto") is None:
        pytest.skip("not on this machine: mosquitto")
    directory = tmp_path_factory.mktemp("outage")
    return play(directory, 60), directory / "daemon" / "journal.sqlite"


def test_after_an_outage_everything_is_stored_once_and_soon(outage):
    measured, _ = outage
    assert measured["queued_samples"] >= NODES * 60 * 80
    assert (measured["stored"], measured["missing"]) == (measured["taken"], 0)
    assert measured["caught_up_after_s"] < 30


def test_the_page_is_live_before_the_queue_is_in(outage):
    measured, _ = outage
    assert measured["first_index"] * NODES > measured["queued_samples"]  # taken after the daemon was back
    assert measured["first_alarm_level"] == "catching up"
    assert measured["feed_fresh_after_s"] < measured["caught_up_after_s"]


def test_alarms_of_the_queue_are_on_record_as_its_frames_say(outage):
    """Without what the SIGKILL cost: the state of the alarms is kept now and then, not with each sample."""
    _, journal = outage
    reader = SafetyReader(journal)
    try:
        broken = verify_chain(reader).broken
        first_us, last_us = reader.connection.execute(
            "SELECT min(utc_us), max(utc_last_us) FROM frames"
        ).fetchone()
        report = verify_span(reader, "room-1", first_us, last_us, now_us=last_us)
    finally:
        reader.close()
    assert broken is None
    killed_us = first_us + KILLED_WITHIN_S * 1e6
    differing = [each.what for each in report.differences if each.what.startswith("alarm ")]
    assert [what for what in differing if int(what.rpartition(" ")[2]) > killed_us] == []
