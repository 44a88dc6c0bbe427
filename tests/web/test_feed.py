"""The feed by itself: one newest figure a client, no trend point lost, nothing stale handed out."""

import asyncio
import threading

import msgspec
import pytest
from ashibar.core.figure import Figure
from ashibar.web.feed import HEARTBEAT_S, Feed

START_MS = 1_700_000_000_000.0


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def figure(**changes):
    kg = {"value_n": 98.0665, "u_n": 1.0, "text": "10.0", "u_text": "0.5", "unit": "kg"}
    shown = dict.fromkeys(("client", "bar", "body_weight", "left", "right", "peak"), kg)
    rest = {"validity": "valid", "reason": "", "remedy": "", "flags": [], "fraction": 0.2, "age_s": 0.05}
    return {
        "sample_utc_us": 1, "motion": False, "hands_off": False, "band": None, "spikes_dropped": 0,
        "hangers": [{"name": "left-head", "force": kg, "state": "ok"}],
    } | shown | rest | changes  # fmt: skip


def envelope(second, rig="room-1", **changes):
    point = [START_MS + second * 1000, 98.0, 1.0]
    return {"rig": rig, "figure": figure(**changes), "trend": [point], "newest": {}}


def seconds_of(message):
    return [(point[0] - START_MS) / 1000 for point in message["trend"]]


async def next_message(stream):
    """Return the next envelope of a stream, heartbeats and the retry line left out."""
    async for event in stream:
        if event.startswith(b"data: "):
            message = msgspec.json.decode(event.removeprefix(b"data: "))
            if message["kind"] != "heartbeat":
                return message
    return None


def test_a_new_client_gets_a_snapshot_of_the_last_60_s_first():
    async def scenario():
        feed = Feed()
        for second in range(100):
            feed.publish(envelope(second))
        return await next_message(feed.stream("room-1"))

    message = asyncio.run(scenario())
    assert message["kind"] == "snapshot"
    assert seconds_of(message) == list(range(39, 100))
    assert message["seq"] == 100
    assert message["figure"]["client"]["text"] == "10.0"


def test_a_slow_client_gets_the_newest_figure_and_every_trend_point():
    async def scenario():
        feed = Feed()
        feed.publish(envelope(0))
        stream = feed.stream("room-1")
        first = await next_message(stream)
        for second in range(1, 31):
            feed.publish(envelope(second, sample_utc_us=second))
        return first, await next_message(stream)

    first, second = asyncio.run(scenario())
    assert seconds_of(first) == [0]
    assert second["kind"] == "update"
    assert second["figure"]["sample_utc_us"] == 30
    assert seconds_of(second) == list(range(1, 31))


def test_a_snapshot_not_yet_taken_stays_a_snapshot_when_newer_figures_come():
    async def scenario():
        feed = Feed()
        feed.publish(envelope(0))
        stream = feed.stream("room-1")
        await anext(stream)  # attached, nothing taken
        feed.publish(envelope(1))
        return await next_message(stream)

    message = asyncio.run(scenario())
    assert message["kind"] == "snapshot"
    assert seconds_of(message) == [0, 1]


def test_figures_published_from_other_threads_arrive():
    async def scenario():
        feed = Feed()
        stream = feed.stream("room-1")
        await anext(stream)
        threads = [threading.Thread(target=feed.publish, args=(envelope(n),)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        seen = set()
        while len(seen) < 20:
            seen |= set(seconds_of(await next_message(stream)))
        return seen

    assert asyncio.run(scenario()) == set(range(20))


def test_a_client_hears_only_its_own_rig():
    async def scenario():
        feed = Feed()
        stream = feed.stream("room-2")
        await anext(stream)
        feed.publish(envelope(0, rig="room-1"))
        feed.publish(envelope(1, rig="room-2"))
        return await next_message(stream)

    assert asyncio.run(scenario())["rig"] == "room-2"


def test_a_quiet_feed_beats_at_least_twice_a_second():
    async def scenario():
        stream = Feed().stream("room-1")
        await anext(stream)
        loop = asyncio.get_running_loop()
        first = await anext(stream)
        began = loop.time()
        await anext(stream)
        return first, loop.time() - began

    event, waited_s = asyncio.run(scenario())
    assert HEARTBEAT_S < 0.5  # what is on top of it is this machine's
    assert waited_s < 3 * HEARTBEAT_S
    assert msgspec.json.decode(event.removeprefix(b"data: "))["kind"] == "heartbeat"


def test_a_figure_that_grew_old_in_the_feed_is_handed_out_without_its_numbers():
    clock = Clock()
    feed = Feed(clock=clock)
    feed.publish(envelope(0))
    clock.now_s = 0.5
    assert feed.snapshot("room-1")["figure"]["age_s"] == pytest.approx(0.55)
    assert feed.snapshot("room-1")["figure"]["client"] is not None
    clock.now_s = 1.5
    stale = feed.snapshot("room-1")["figure"]
    assert stale["validity"] == "stale"
    assert stale["reason"]
    assert stale["remedy"]
    assert {stale[key] for key in ("client", "bar", "fraction", "left", "right", "peak")} == {None}
    assert stale["hangers"] == [{"name": "left-head", "force": None, "state": "ok"}]


def test_a_fault_that_grew_old_keeps_its_own_words():
    clock = Clock()
    feed = Feed(clock=clock)
    feed.publish(envelope(0, client=None, validity="fault", reason="left-head does not answer."))
    clock.now_s = 5.0
    assert feed.snapshot("room-1")["figure"]["reason"] == "left-head does not answer."


def test_a_figure_of_the_core_is_published_as_it_is():
    feed = Feed()
    made = msgspec.convert(figure(), Figure)
    feed.publish({"rig": "room-1", "figure": made, "trend": [], "newest": {}})
    assert feed.snapshot("room-1")["figure"]["client"]["text"] == "10.0"


def test_closing_ends_every_stream_at_once_and_new_ones_too():
    async def scenario():
        feed = Feed()
        streams = [feed.stream("room-1") for _ in range(3)]
        for stream in streams:
            await anext(stream)
            await anext(stream)
        waiting = [asyncio.ensure_future(next_message(stream)) for stream in streams]
        await asyncio.sleep(0)
        await asyncio.to_thread(feed.close)
        async with asyncio.timeout(0.3):
            ended = await asyncio.gather(*waiting)
            late = [event async for event in feed.stream("room-1")]
        return ended, late, feed.clients

    ended, late, clients = asyncio.run(scenario())
    assert ended == [None, None, None]
    assert all(b"snapshot" not in event for event in late)
    assert clients == 0


def test_an_envelope_without_a_rig_is_refused_in_words():
    with pytest.raises(ValueError, match="a rig and a figure"):
        Feed().publish({"figure": figure()})


def test_a_rig_is_watched_while_a_page_is_attached_and_a_while_after_it_was_asked_for():
    clock = Clock()
    feed = Feed(clock=clock)
    feed.publish(envelope(0))
    feed.publish(envelope(0, rig="room-2"))

    async def scenario():
        stream = feed.stream("room-2")
        await next_message(stream)
        attached = feed.watched()
        await stream.aclose()
        return attached

    assert feed.watched() == set()
    feed.snapshot("room-1")
    assert asyncio.run(scenario()) == {"room-1", "room-2"}
    clock.now_s = 1.9
    assert feed.watched() == {"room-1"}
    clock.now_s = 2.1
    assert feed.watched() == set()


def test_who_asks_for_a_rig_nobody_watched_gets_the_figure_of_now():
    clock = Clock()
    feed = Feed(clock=clock)
    feed.publish(envelope(0))
    clock.now_s, looks = 4.0, []

    def look():
        looks.append(clock.now_s)
        threading.Thread(target=feed.publish, args=(envelope(4, sample_utc_us=4),)).start()

    feed.on_look = look
    assert feed.snapshot("room-1")["figure"]["sample_utc_us"] == 4
    clock.now_s = 5.0
    assert feed.snapshot("room-1")["figure"]["sample_utc_us"] == 4
    assert looks == [4.0]  # while it is watched figures come by themselves


def test_who_asks_does_not_wait_long_for_a_pipeline_that_is_busy():
    clock = Clock()
    feed = Feed(clock=clock)
    feed.publish(envelope(0))
    clock.now_s, feed.on_look = 4.0, lambda: None
    assert feed.snapshot("room-1")["figure"]["client"] is None
