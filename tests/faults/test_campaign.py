"""The fault campaign, a short run of it; and that it finds a daemon that acknowledges before it commits."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from campaign import one_run
from servers import need, wait_until
from stack import Stack


@pytest.fixture(autouse=True)
def programs():
    need("mosquitto", "influxd", "nginx")


def test_every_kind_of_fault_once_loses_nothing_and_doubles_nothing():
    verdict, kills, faults = one_run(7, None, virtual=0)
    assert set(kills) == {"daemon", "broker", "influxd", "node"}
    assert len(faults) == 12
    assert verdict.good, (verdict.row(), verdict.notes)
    assert verdict.stored > 500
    assert verdict.moved_aside > 0  # a page was damaged: what was in it is lost, and says so
    assert verdict.lines_aside > 0  # and lines InfluxDB refused are kept aside


def lost_by(tmp_path, *, ack_first):
    """Kill the daemon while its disk is full; return how many samples nobody has any more."""
    build = ["--clock", tmp_path / "clock", *(["--ack-first"] if ack_first else [])]
    stack = Stack(tmp_path, influx=False, build=build, small_disk=True)
    try:
        stack.start()
        wait_until(lambda: (stack.daemon.accounting() or {}).get("samples_stored", 0) > 150, "samples", 30)
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
    with ThreadPoolExecutor() as pool:
        ours = pool.submit(lost_by, tmp_path / "ours", ack_first=False)
        first = pool.submit(lost_by, tmp_path / "first", ack_first=True)
        assert ours.result() == 0
        assert first.result() > 0
