"""Messages that no sound host sends: what a node must refuse or forget, and live."""

import json

DEEP = b"[" * 3000
LONG = b'{"id": "long", "command": "identify", "more": "' + b"x" * 5000 + b'"}'


MESSAGES = 37
REQUESTS = 15  # of them with an id, so that they are answered


def _request(number, **fields):
    return json.dumps({"id": f"chaos-{number}"} | fields).encode()


def bad_message(number, boot):
    """Return (topic under the node's root, payload); `boot` is that of the node, None where it is not
    known."""
    calibration = {"id": 0, "by": "", "cells": [{"zero_count": 1e9, "span_n_per_count": 0}]}
    messages = [
        ("command", b""),
        ("command", b"{"),
        ("command", b"\xff\xfe\x00"),
        ("command", b"null"),
        ("command", b'[{"id": "a"}]'),
        ("command", DEEP),
        ("command", b'{"id": 7, "command": "identify"}'),
        ("command", _request(number)),
        ("command", _request(number, command=None)),
        ("command", _request(number, command="explode")),
        ("command", _request(number, command="identify", seconds=9)),
        ("command", _request(number, command="zero", confirm="yes")),
        ("command", _request(number, command="zero", unix_s=-1)),
        ("command", _request(number, command="maintenance", on="on")),
        ("command", _request(number, command="maintenance", on=True, minutes=10**9)),
        ("command", _request(number, command="update", step="put", path="../../boot.py", at=0, data="AA==")),
        ("command", _request(number, command="update", step="finish")),
        ("command", _request(number, command="set config", config={"broker": {"port": 70000}})),
        ("command", _request(number, command="set config", config={"cells": "four"})),
        ("command", _request(number, command="set config", config=[])),
        ("command", _request(number, command="set calibration", calibration=calibration)),
        ("command", _request(number, command="set calibration", calibration=None)),
        ("committed", b"stored"),
        ("committed", b'{"boot": 1, "upto": 5}'),
        ("committed", json.dumps({"boot": boot, "upto": 4_000_000_000}).encode()),
        ("committed", json.dumps({"boot": boot, "upto": -7}).encode()),
        ("committed", json.dumps({"boot": boot, "upto": "all"}).encode()),
        ("committed", b'{"upto": 9}'),
        ("display", b"bright"),
        ("display", b"null"),
        ("display", b'{"fraction": "half"}'),
        ("display", b'{"fraction": 1e999, "validity": "valid"}'),
        ("display", b'{"fraction": -1e30, "validity": "valid", "band": 3}'),
        ("display", b'{"validity": ["valid"]}'),
        ("state", b"gone"),
        ("state", b'{"state": 5}'),
        ("command", LONG),  # longer than a node takes: it closes the connection
    ]
    return messages[number % MESSAGES]
