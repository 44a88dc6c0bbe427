"""A zero by hand is the nodes' first: what they reply, refuse or leave unsaid, and what the host does."""

import json

import pytest
from ashibar.core import requests
from ashibar.core.messages import Reply, SessionZero
from ashibar.io.mqtt import NotConnectedError
from ashibar.service.desk import ConflictError
from ashibar.service.node_zero import Said, Taken
from bars import KG
from nodes import SPAN_N_PER_COUNT, ZERO_COUNT, about

DRIFTED = (0.6, 0, 0, 0)
MOVED = round(0.6 * KG / SPAN_N_PER_COUNT)


class Wire:
    """What the host sends to nodes, in place of a broker; `replying` answers it."""

    def __init__(self, host, monkeypatch):
        self.host, self.sent, self.up = host, [], True
        self.replying = lambda _request: None
        monkeypatch.setattr(host.daemon.link, "publish", self._publish)

    def _publish(self, topic, payload, qos, *, retain):
        if not self.up:
            raise NotConnectedError("no connection")
        assert (topic, qos, retain) == ("ashibar/v1/quiet-room/bars-1/command", 1, False)
        self.sent.append(json.loads(payload))

    def zero(self, **fields):
        """Ask the host to zero; what the node replies comes a turn later."""
        from msgspec import convert  # noqa: PLC0415 (as the host's own `ask`)

        host = self.host
        answer = host.daemon.side.desk.ask(convert({"by": "Mei"} | fields, requests.ZeroNow))
        host.turn()
        reply = self.replying(self.sent[-1]) if self.sent else None
        if reply is not None:
            host.turn(
                [("reply", json.dumps({"id": self.sent[-1]["id"], "command": "zero"} | reply).encode())]
            )
        return answer


@pytest.fixture
def wire(virtual, monkeypatch):
    virtual.play(6, DRIFTED)
    return Wire(virtual, monkeypatch)


def took(request):
    counts = [ZERO_COUNT + MOVED, ZERO_COUNT, ZERO_COUNT, ZERO_COUNT]
    zero = {"unix_s": request["unix_s"], "device_us": 5, "counts": counts}
    return {"ok": True, "zero": zero, "offset_n": [0.6 * KG, 0.0, 0.0, 0.0]}


def refuses(reason):
    return lambda _request: {"ok": False, "reason": reason}


def bar_kg(host):
    host.rig.look(host.now_us)
    return host.rig.live.figure(host.now_us).bar.value_n / KG


def test_the_node_is_asked_and_its_zero_is_the_rigs_on_record_with_its_name(virtual, wire):
    wire.replying = took
    told = wire.zero().result(5)
    (sent,) = wire.sent
    assert (sent["command"], sent["confirm"]) == ("zero", False)
    assert sent["unix_s"] == virtual.now_us // 1_000_000
    assert (told["nodes"], told["note"]) == (["bars-1"], None)
    assert told["offset_n"][0] == pytest.approx(0.6 * KG)
    assert told["drift_n"] == pytest.approx([0.6 * KG, 0, 0, 0], abs=0.001)
    assert told["counts"] == [ZERO_COUNT + MOVED, ZERO_COUNT, ZERO_COUNT, ZERO_COUNT]
    virtual.play(1, DRIFTED)
    assert bar_kg(virtual) == pytest.approx(0, abs=0.05)
    (entry,) = virtual.log("zero")
    assert (entry.who, entry.data["automatic"], entry.data["nodes"]) == ("Mei", False, ["bars-1"])


def test_a_node_that_refuses_is_quoted_and_nothing_is_zeroed(virtual, wire):
    wire.replying = refuses("left-head: still within 0.25 kg for 5 s expected, it moved by 0.40 kg: keep off")
    with pytest.raises(
        ConflictError, match=r"^left-head: still .* it moved by 0\.40 kg: keep off$"
    ) as caught:
        wire.zero().result(5)
    assert not caught.value.confirm
    virtual.play(1, DRIFTED)
    assert bar_kg(virtual) == pytest.approx(0.6, abs=0.05)
    assert virtual.log("zero") == []


def test_what_a_node_wants_confirmed_is_asked_back_and_sent_confirmed(wire):
    wire.replying = refuses("the bars: free of load within 1 kg expected, 1.4 kg came: look, then confirm")
    with pytest.raises(ConflictError) as caught:
        wire.zero().result(5)
    assert caught.value.confirm
    wire.replying = took
    wire.zero(confirmed=True).result(5)
    assert [sent["confirm"] for sent in wire.sent] == [False, True]


@pytest.mark.parametrize(
    "reply",
    [
        refuses("command: one of identify, reboot expected, 'zero' came: correct the command"),
        lambda _request: {"ok": True, "zero": "done"},
        lambda request: took(request) | {"offset_n": []},
    ],
)
def test_where_a_node_cannot_the_host_zeroes_and_says_that_the_node_keeps_its_own(virtual, wire, reply):
    wire.replying = reply
    told = wire.zero().result(5)
    assert told["offset_n"][0] == pytest.approx(0.6 * KG, abs=0.3)
    virtual.play(1, DRIFTED)
    assert bar_kg(virtual) == pytest.approx(0, abs=0.05)


def test_a_node_that_does_not_reply_is_waited_for_no_longer_than_4_s_and_named(virtual, wire):
    answer = wire.zero()
    virtual.play(3.5, DRIFTED)
    assert not answer.done()
    virtual.play(1, DRIFTED)
    told = answer.result(5)
    assert told["nodes"] == []
    assert told["note"] == (
        "bars-1 did not take this zero and keeps its own: its light and its weight may differ."
    )
    assert virtual.log("zero")[0].data["note"] == told["note"]


def test_a_node_that_cannot_be_reached_is_not_waited_for(virtual, wire):
    wire.up = False
    assert "keeps its own" in wire.zero().result(5)["note"]
    wire.up = True
    virtual.play(6, DRIFTED)
    virtual.turn([("state", b'{"state": "lost", "boot": 7}')])
    assert "keeps its own" in wire.zero().result(5)["note"]
    assert wire.sent == []


def test_a_node_without_capacities_has_no_limits_and_is_not_asked(virtual, wire):
    said = json.loads(about(7, unix_s=virtual.now_us / 1e6 - 60))
    for cell in said["cells"]:
        cell["capacity_n"] = None
    virtual.say_about(json.dumps(said).encode())
    assert "keeps its own" in wire.zero().result(5)["note"]
    assert wire.sent == []


def test_the_host_refuses_by_its_own_rules_where_the_node_is_silent(virtual, wire):
    virtual.play(6, (20, 0, 0, 0))
    answer = wire.zero()
    virtual.play(5, (20, 0, 0, 0))
    with pytest.raises(ConflictError, match=r"20\.0 kg"):
        answer.result(5)


def test_only_one_zero_of_a_rig_is_under_way_and_replies_to_others_are_none_of_its(virtual, wire):
    first = wire.zero()
    wire.replying = lambda request: took(request) | {"id": "somebody-elses"}
    with pytest.raises(ConflictError, match="another one is under way"):
        wire.zero(by="Bo").result(5)
    assert len(wire.sent) == 1
    assert not first.done()
    virtual.turn(
        [("reply", json.dumps({"id": wire.sent[0]["id"], "command": "zero"} | took(wire.sent[0])).encode())]
    )
    assert first.result(5)["nodes"] == ["bars-1"]


def test_nobody_is_asked_for_a_zero_without_a_name(wire):
    with pytest.raises(ConflictError, match="name"):
        wire.zero(by="").result(5)
    assert wire.sent == []


def test_a_zero_that_waits_when_the_host_stops_is_answered(virtual, wire):
    answer = wire.zero()
    virtual.daemon.side.service.stop(virtual.daemon.committer.submit, virtual.now_us)
    with pytest.raises(ConflictError, match="the host is stopping"):
        answer.result(5)


def said_by_two(head, foot):
    said = Said(5, requests.ZeroNow(by="Mei"), {"a": "bars-head", "b": "bars-foot"})
    for number, node, reply in (("a", "bars-head", head), ("b", "bars-foot", foot)):
        if reply is not None:
            said.take(node, Reply(number, "zero", **reply))
    said.keeping += said.waiting.values()
    return said


TOOK = {"ok": True, "result": {"zero": {"counts": [7, 8]}, "offset_n": [0.1, 0.2]}}


def test_of_several_nodes_each_is_named_and_what_is_done_already_is_said():
    both = said_by_two(TOOK, TOOK)
    assert (both.refusal(), both.note()) == (None, None)
    assert both.taken["bars-foot"] == Taken(SessionZero([7, 8]), [0.1, 0.2])
    half = said_by_two(TOOK, {"ok": False, "reason": "free expected, 3 kg came: take it off"})
    assert str(half.refusal()) == "bars-foot: free expected, 3 kg came: take it off; bars-head zeroed already"
    silent = said_by_two(None, None)
    assert silent.refusal() is None
    assert silent.note().startswith("bars-head and bars-foot did not take this zero and keep their own")
    assert said_by_two(TOOK, None).note().startswith("bars-foot did not take this zero and keeps its own")


def test_confirming_helps_only_where_every_refusal_asks_for_it():
    asks, other = {"ok": False, "reason": "look, then confirm"}, {"ok": False, "reason": "it moved"}
    assert said_by_two(asks, asks).refusal().confirm
    assert not said_by_two(asks, other).refusal().confirm


def test_a_reply_under_another_nodes_name_is_not_taken():
    said = Said(5, requests.ZeroNow(by="Mei"), {"a": "bars-head"})
    said.take("bars-foot", Reply("a", "zero", **TOOK))
    assert (said.taken, said.refused, said.waiting) == ({}, {}, {"a": "bars-head"})
