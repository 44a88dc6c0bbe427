"""Topics and JSON payloads: what the protocol allows is read, everything else is refused by name."""

import json
import re
from pathlib import Path

import pytest
from ashibar.core import messages, topics
from ashibar.core.messages import Command, MessageError, Reply
from ashibar.core.topics import Kind, Topic, TopicError
from hypothesis import given
from hypothesis import strategies as st

PROTOCOL = (Path(__file__).parents[2] / "docs/protocol.md").read_text()
JSON_KINDS = [kind for kind in Kind if kind is not Kind.SAMPLES]
NAMES = st.from_regex(f"\\A{topics.NAME_PATTERN}\\Z")


@given(NAMES, NAMES, st.sampled_from(Kind))
def test_a_topic_built_is_parsed_to_its_parts(studio, node, kind):
    assert topics.parse(topics.build(studio, node, kind)) == Topic(studio, node, kind)


@given(st.text(max_size=60))
def test_any_text_is_a_topic_or_a_named_error(text):
    try:
        assert str(topics.parse(text)) == text
    except TopicError as error:
        assert "came" in str(error)  # noqa: PT017  either outcome is right


@pytest.mark.parametrize(
    ("topic", "wrong"),
    [
        ("ashibar/v2/a/b/state", "ashibar/v1"),
        ("ashibar/v1/a/b", "<kind>"),
        ("ashibar/v1/A/b/state", "studio"),
        ("ashibar/v1/a//state", "node"),
        ("ashibar/v1/a/b/mood", "one of"),
        ("ashibar/v1/a/" + "b" * 33 + "/state", "node"),
        ("ashibar/v1/a/b\n/state", "node"),
    ],
)
def test_a_wrong_topic_is_refused_by_the_part_that_is_wrong(topic, wrong):
    with pytest.raises(TopicError, match=re.escape(wrong)):
        topics.parse(topic)


def test_a_subscription_matches_all_nodes_of_a_studio():
    assert topics.subscription("room-1", Kind.SAMPLES) == "ashibar/v1/room-1/+/samples"


def test_the_about_of_the_protocol_page_is_read():
    blocks = re.findall(r"```json\n(.*?)```", PROTOCOL, re.DOTALL)
    about = messages.decode(Kind.ABOUT, next(b for b in blocks if '"firmware"' in b).encode())
    assert about.calibration.cells[0].zero_count == 84213
    assert (about.cells[0].name, about.zeros.session) == ("left-head", None)


def test_the_health_of_the_protocol_page_is_read():
    blocks = re.findall(r"```json\n(.*?)```", PROTOCOL, re.DOTALL)
    health = messages.decode(Kind.HEALTH, next(b for b in blocks if '"uptime_s"' in b).encode())
    assert (health.samples, health.desync, health.temperature_c) == (9552, [0, 0, 0, 0], None)


def test_unknown_fields_are_ignored():
    state = messages.decode(Kind.STATE, b'{"state": "online", "boot": 1, "mood": [1, 2]}')
    assert (state.state, state.boot) == ("online", 1)


@pytest.mark.parametrize(
    ("kind", "payload", "named"),
    [
        (Kind.STATE, b'{"state": "asleep", "boot": 1}', "$.state"),
        (Kind.STATE, b'{"state": "online", "boot": 4294967296}', "$.boot"),
        (Kind.STATE, b'{"boot": 1}', "`state`"),
        (Kind.ABOUT, b'{"boot": 1, "cells": [{"name": "a"}, {"name": 3}]}', "$.cells[1].name"),
        (Kind.ABOUT, b'{"boot": 1, "cells": []}', "$.cells"),
        (Kind.COMMITTED, b'{"boot": 1, "upto": -2}', "$.upto"),
        (Kind.WEIGHT, b'{"boot": 1, "index": 0, "cells_n": ["x"], "validity": "valid"}', "$.cells_n[0]"),
        (Kind.COMMAND, b'{"id": "", "command": "zero"}', "$.id"),
        (Kind.REPLY, b'{"id": "a", "command": "zero"}', "`ok`"),
        (Kind.HEALTH, b"\xff\xfe", "Health"),
        (Kind.SAMPLES, b"{}", "samples"),
    ],
)
def test_a_payload_outside_the_contract_is_refused_by_its_place(kind, payload, named):
    with pytest.raises(MessageError, match=re.escape(named)):
        messages.decode(kind, payload)


def test_a_calibration_that_cannot_be_is_refused_with_what_to_do():
    cell = {"zero_count": 0, "span_n_per_count": 0}
    about = {"boot": 1, "cells": [{"name": "a"}], "calibration": {"id": 1, "cells": [cell]}}
    with pytest.raises(MessageError, match="calibrate the cell"):
        messages.decode(Kind.ABOUT, json.dumps(about).encode())
    cell["span_n_per_count"] = -0.0002
    about["calibration"]["cells"] = [cell, cell]
    with pytest.raises(MessageError, match="calibration of 1 cells, came 2"):
        messages.decode(Kind.ABOUT, json.dumps(about).encode())


def test_a_commands_parameters_travel_beside_its_id():
    command = Command("42", "set-config", {"rate_hz": 80})
    assert json.loads(messages.encode(command)) == {"id": "42", "command": "set-config", "rate_hz": 80}
    assert messages.decode(Kind.COMMAND, messages.encode(command)) == command


def test_a_reply_brings_its_result_beside_ok():
    reply = messages.decode(Kind.REPLY, b'{"id": "1", "command": "zero", "ok": true, "counts": [1, 2]}')
    assert reply == Reply("1", "zero", ok=True, result={"counts": [1, 2]})
    assert messages.decode(Kind.REPLY, messages.encode(reply)) == reply


def test_a_parameter_under_a_reserved_name_is_refused():
    with pytest.raises(MessageError, match="'id'"):
        messages.encode(Command("42", "zero", {"id": "43"}))


@given(st.sampled_from(JSON_KINDS), st.one_of(st.binary(max_size=80), st.text(max_size=80).map(str.encode)))
def test_any_bytes_are_a_message_or_a_named_error(kind, payload):
    try:
        messages.decode(kind, payload)
    except MessageError as error:
        assert "unreadable" in str(error)  # noqa: PT017  either outcome is right


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False),
        st.text(max_size=9),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["id", "command", "ok", "state", "boot", "cells", "zeros", "calibration", "upto", "index"]
)


@given(st.sampled_from(JSON_KINDS), st.dictionaries(FIELDS, JSON, max_size=8))
def test_any_json_is_a_message_or_a_named_error(kind, fields):
    try:
        messages.decode(kind, json.dumps(fields).encode())
    except MessageError as error:
        assert "unreadable" in str(error)  # noqa: PT017  either outcome is right
