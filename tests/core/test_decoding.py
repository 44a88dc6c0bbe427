"""A type's first use, by several threads at a time: msgspec crashes at that, so it goes through one door."""

import ast
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from ashibar.core import decoding

HOST = Path(__file__).resolve().parents[2] / "host" / "ashibar"
RACE = """
import sys, threading, types
from ashibar.core import decoding

TYPES = '''
from __future__ import annotations
import msgspec
class Inner(msgspec.Struct):
    x: int
    y: list[float] | None = None
class Outer(msgspec.Struct):
    one: Inner
    many: list[Inner]
    more: tuple[int, ...] = ()
'''
DATA = b'{"one": {"x": 1, "y": [1.0]}, "many": [{"x": 2}], "more": [1, 2]}'
sys.setswitchinterval(1e-6)
for number in range(int(sys.argv[1])):
    made = sys.modules[f"made{number}"] = types.ModuleType(f"made{number}")
    exec(TYPES, made.__dict__)
    begin = threading.Barrier(3)

    def use(kind, data):
        begin.wait()
        assert decoding.from_json(data, kind)

    cases = [(made.Outer, DATA), (made.Outer, DATA), (made.Inner, b'{"x": 1, "y": [2.5]}')]
    threads = [threading.Thread(target=use, args=case) for case in cases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_threads_that_use_a_type_first_at_the_same_time_do_not_crash():
    done = subprocess.run([sys.executable, "-c", RACE, "1500"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def is_typed(call):
    """Return whether a call of msgspec needs to know a type."""
    name = ast.unparse(call.func)
    if name in ("msgspec.json.Decoder", "msgspec.msgpack.Decoder", "msgspec.convert"):
        return True
    kinds = [ast.unparse(each.value) for each in call.keywords if each.arg == "type"]
    plain = ("dict[str, Any]", "dict[str, int]", "list[bytes]")  # no Struct, nothing to learn
    return name in ("msgspec.json.decode", "msgspec.msgpack.decode") and any(k not in plain for k in kinds)


def test_nobody_decodes_a_type_past_the_door():
    found = [
        f"{path.relative_to(HOST)}:{node.lineno}"
        for path in sorted(HOST.rglob("*.py"))
        if path != HOST / "core" / "decoding.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and is_typed(node)
    ]
    assert found == []


class Weight(msgspec.Struct, array_like=True):
    value_n: float


def test_every_door_gives_the_type_and_names_what_is_wrong():
    assert decoding.from_json(b"[1.5]", Weight) == Weight(1.5)
    assert decoding.from_json("[[1.5]]", list[Weight]) == [Weight(1.5)]
    assert decoding.from_msgpack(msgspec.msgpack.encode([1.5]), Weight) == Weight(1.5)
    assert decoding.convert([1.5], Weight) == Weight(1.5)
    for attempt in (
        lambda: decoding.from_json(b'["x"]', Weight),
        lambda: decoding.from_msgpack(msgspec.msgpack.encode(["x"]), Weight),
        lambda: decoding.convert(["x"], Weight),
    ):
        with pytest.raises(msgspec.ValidationError, match="Expected `float`"):
            attempt()
