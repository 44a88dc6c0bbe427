"""The sampler's task on real MicroPython, asyncio running on a clock moved by hand."""

import ast

RUN = """
from hx711_bench import *
def run(seconds, **kw):
    here, adc, sink, sampler = make(**kw)
    fast_time.install(here.clock)
    async def main():
        task = asyncio.create_task(sampler.run())
        await asyncio.sleep(seconds)
        task.cancel()
    asyncio.run(main())
    return here, adc, sink
"""


def test_every_conversion_of_the_slowest_chip_is_sampled(run_micropython):
    code = RUN + "here, adc, sink = run(20)\nprint((sink.counts, sink.wrong))"
    counts, wrong = ast.literal_eval(run_micropython(code))
    assert wrong == [0, 0, 0, 0]
    assert all(20 * 79.1 - 20 <= count <= 20 * 79.1 for count in counts)


def test_silence_is_on_record_at_the_nominal_pace_with_true_stamps(run_micropython):
    code = (
        RUN
        + """
faults = [{"at_s": 3, "for_s": 2, "cell": cell, "fault": "stuck_high"} for cell in range(4)]
here, adc, sink = run(4.9, faults=faults, ticks_start=(1 << 30) - 4000000)
from time import ticks_diff
stamps = sink.stamps[-100:]
print((sink.codes, [ticks_diff(b, a) for a, b in zip(stamps, stamps[1:])]))
"""
    )
    codes, steps = ast.literal_eval(run_micropython(code))
    assert all(140 <= code["not_ready"] <= 165 for code in codes)
    assert all(12_000 <= step <= 14_500 for step in steps)


def test_a_stamp_is_the_time_of_reading(run_micropython):
    code = (
        RUN
        + """
from time import ticks_diff, ticks_us
late = []
take = Check.take
def timed(self, stamp, counts):
    late.append(ticks_diff(ticks_us(), stamp))
    take(self, stamp, counts)
Check.take = timed
run(3)
print((min(late), max(late)))
"""
    )
    least, most = ast.literal_eval(run_micropython(code))
    assert 0 <= least <= most <= 1000
