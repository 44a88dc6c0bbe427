"""The fault campaign, a short run of it; and that it finds a daemon that acknowledges before it commits."""

import time

import pytest
from campaign import Campaign, one_run
from servers import need, wait_until
from stack import Stack


@pytest.fixture(autouse=True)
def programs():
    need("mosquitto", "influxd", "nginx")


def test_a_short_campaign_loses_nothing_and_doubles_nothing():
    verdict, kills, _ = one_run(7, 6, virtual=0, rare=0)
    assert sum(kills.values()) >= 6
    assert verdict.good, (verdict.row(), verdict.notes)
    assert verdict.stored > 500


def test_a_damaged_page_costs_what_was_in_it_and_says_so(tmp_path):
    stack = Stack(tmp_path, influx=False)
    try:
        stack.start()
        wait_until(lambda: stack.daemon.accounting()["samples_stored"] > 600, "some pages", 30)
        Campaign(stack, 3).damaged_page()
        time.sleep(2)
        verdict = stack.finish()
    finally:
        stack.stop()
    assert verdict.good, (verdict.row(), verdict.notes)
    assert verdict.stored > 600


def lost_by(tmp_path, *, ack_first):
    """Kill the daemon while its disk is full; return how many samples nobody has any more."""
    build = ["--clock", tmp_path / "clock", *(["--ack-first"] if ack_first else [])]
    stack = Stack(tmp_path, influx=False, build=build, small_disk=True)
    try:
        stack.start()
        wait_until(lambda: (stack.daemon.accounting() or {}).get("samples_stored", 0) > 300, "samples", 30)
        stack.disk.fill(stack.daemon)
        time.sleep(2)
        stack.daemon.kill()
        stack.disk.free(stack.daemon)
        stack.start_daemon()
        verdict = stack.finish()
    finally:
        stack.stop()
    return verdict.unexplained + verdict.on_record


def test_a_daemon_that_acknowledges_first_is_found_out_and_ours_is_not(tmp_path):
    assert lost_by(tmp_path / "ours", ack_first=False) == 0
    assert lost_by(tmp_path / "first", ack_first=True) > 0
