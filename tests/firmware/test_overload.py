"""The local overload watch: which samples count, without allocation, and light and buzzer within 0.2 s."""

import json

import pytest
from ashibar.node import virtual_rig
from firmware_paths import FIRMWARE, import_firmware

import_firmware()

from barnode import overload  # noqa: E402 - importable only from here on
from barnode.adc.codes import NOT_READY, SATURATED_HIGH  # noqa: E402
from barnode.overload import Overload  # noqa: E402
from barnode.weight import Weight  # noqa: E402

CALIBRATION = {
    "id": 1,
    "cells": [{"zero_count": zero, "span_n_per_count": span} for zero, span in ((100, 0.001), (-50, -0.001))],
}
CALM = (100, -50)
OVER = (100 + 1_100_000, -50)  # 1100 N on the first cell
BOTH = (100 + 600_000, -50 - 600_000)  # 600 N on each: the second cell hangs upside down


@pytest.fixture(autouse=True)
def still_clock(monkeypatch):
    monkeypatch.setattr(overload, "now_ms", lambda: 5)


def watch(samples, cell_n=(1000, 1000), sum_n=None, calibration=CALIBRATION):
    weight = Weight(2, 1, calibration)
    one = Overload(weight, list(cell_n), sum_n)
    found = []
    for counts in samples:
        weight.take(counts)
        found.append(one.take(counts))
    return found, one


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([CALM, OVER, CALM], [False, False, False]),  # one sample of one cell may be the electronics
        ([CALM, OVER, OVER, CALM], [False, False, True, False]),
        ([CALM, (1_100_100, -1_100_050)], [False, True]),  # two cells at once are load
        ([CALM, (-1_100_000, -50), (-1_100_000, -50)], [False, False, True]),  # pushing up, too
        ([CALM, BOTH, BOTH], [False, False, False]),
        ([CALM, (NOT_READY, -50), (NOT_READY, -50)], [False, False, False]),
    ],
)
def test_two_samples_in_a_row_or_two_cells_at_once_are_an_overload(samples, expected):
    assert watch(samples)[0] == expected


def test_the_sum_has_a_limit_of_its_own():
    assert watch([CALM, BOTH, BOTH, CALM], sum_n=1000)[0] == [False, False, True, False]


def test_beyond_the_converters_range_counts_only_on_the_way_there():
    assert watch([CALM, (SATURATED_HIGH, -50), (SATURATED_HIGH, -50)])[0] == [False] * 3
    assert watch([(600_000, -50), (SATURATED_HIGH, -50), (SATURATED_HIGH, -50)])[0] == [False, False, True]


def test_without_calibration_nothing_is_judged():
    found, one = watch([(8_000_000, 8_000_000)] * 3 + [(SATURATED_HIGH,) * 2] * 3, calibration=None)
    assert found == [False] * 6
    assert one.count == 0


def test_each_overload_is_counted_once_and_held_for_a_glance():
    _, one = watch([OVER, OVER, OVER, CALM])
    assert (one.count, one.active(), one.now) == (1, True, False)


def test_a_sample_takes_no_memory(run_micropython):
    printed = run_micropython(
        f"""
import sys
sys.path.insert(0, {str(FIRMWARE)!r})
import gc
from array import array
from barnode.overload import Overload
from barnode.weight import Weight
record = {{"id": 1, "cells": [{{"zero_count": 7, "span_n_per_count": 0.000456}} for _ in range(4)]}}
weight = Weight(4, 1, record)
one = Overload(weight, [1961.0] * 4, 5000.0)
calm, over = array("i", [7] * 4), array("i", [5000000] * 4)
order = (calm, over, over, calm)
def work():
    for counts in order:
        weight.take(counts)
        one.take(counts)
work()
gc.collect()
gc.disable()
before = gc.mem_alloc()
for _ in range(5):
    work()
print(gc.mem_alloc() - before, one.count)
"""
    )
    taken, count = map(int, printed.split())
    assert count == 1
    assert taken == 0


LATENCY = """
import asyncio, sys, time
sys.path[:0] = [{virtual!r}, {firmware!r}]
real_ms, since = time.ticks_ms, time.ticks_diff
import board
import json
config = json.loads({config!r})
board.install(board.build(config["board"], 0))
sys.path.insert(0, {virtual!r} + "/chip")
from barnode.node import Node

async def main():
    node = Node(config["node"])
    running = asyncio.create_task(node.run())
    here = board.current
    await asyncio.sleep(2)
    calm = list(here.pixels[13]), here.level(27)
    here.trace.forces_mn[1] = 2500000
    began = real_ms()
    lit = loud = None
    while lit is None or loud is None:
        await asyncio.sleep_ms(1)
        passed = since(real_ms(), began)
        if lit is None and here.pixels[13] != calm[0] and (32, 0, 0) in here.pixels[13]:
            lit = passed
        if loud is None and here.level(27):
            loud = passed
        if passed > 3000:
            break
    await asyncio.sleep_ms(300)
    marked = node.backlog._flags[node.backlog._order.last] & 4
    running.cancel()
    print(json.dumps([lit, loud, calm[1], marked, node.overload.count]))

asyncio.run(main())
"""


def test_light_and_buzzer_come_within_200_ms_without_network_or_host(run_micropython):
    cells = virtual_rig.draw_cells(("a", "b", "c", "d"), 3)
    node = {
        "studio": "studio",
        "node": "bars",
        "board": virtual_rig.board_file(4) | {"buzzer_pin": 27},
        "cells": [{"name": cell.name, "capacity_n": 1961.33} for cell in cells],
        "calibration": virtual_rig.calibration_record(cells, 1_790_000_000),
    }
    text = json.dumps({"node": node, "board": virtual_rig.board_config(cells, 1)})
    code = LATENCY.format(virtual=str(FIRMWARE / "virtual"), firmware=str(FIRMWARE), config=text)
    lit, loud, before, marked, count = json.loads(run_micropython(code).splitlines()[-1])
    print(f"light after {lit} ms, buzzer after {loud} ms")
    assert (before, marked, count) == (0, 4, 1)
    assert lit <= 200
    assert loud <= 200
