"""The daemon is away while four nodes go on at the full rate: the broker keeps it, the daemon catches up."""

import pytest
from outage import NODES, play
from servers import find_program


def test_after_an_outage_everything_is_stored_soon_and_the_page_is_live_again(tmp_path):
    if find_program("mosquitto") is None:
        pytest.skip("not on this machine: mosquitto")
    measured = play(tmp_path, 120)
    assert measured["queued_samples"] >= NODES * 120 * 80
    assert (measured["stored"], measured["missing"]) == (measured["taken"], 0)
    assert measured["caught_up_after_s"] < 30
