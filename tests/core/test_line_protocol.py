"""Line protocol from arrays, held to influxdb-client's own Point, byte for byte."""

import numpy as np
import pytest
from ashibar.core.line_protocol import Field, lines
from hypothesis import given, settings
from hypothesis import strategies as st
from influxdb_client import Point

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=12)
ODD = st.text(st.sampled_from(list(',= "\\\n\t\rä€😀#a0')), min_size=1, max_size=8)
NAME = TEXT | ODD
MEASUREMENT = NAME.filter(lambda name: not name.startswith("#"))
INT64 = st.integers(-(2**63), 2**63 - 1)
MILLI = st.integers(-(10**12), 10**12).map(lambda number: number / 1000)


def column(kind, count):
    """A strategy of values of one kind, None where a row has none, and how they become a Field."""
    values = {"float": MILLI, "integer": INT64, "boolean": st.booleans(), "string": NAME | st.just("")}[kind]
    return st.lists(st.none() | values, min_size=count, max_size=count).map(lambda each: (kind, each))


@st.composite
def tables(draw):
    count = draw(st.integers(1, 5))
    names = draw(st.lists(NAME, min_size=1, max_size=4, unique=True))
    kinds = st.sampled_from(["float", "integer", "boolean", "string"])
    columns = {name: draw(column(draw(kinds), count)) for name in names}
    times = draw(st.lists(INT64, min_size=count, max_size=count))
    tags = draw(st.dictionaries(NAME, NAME | st.just(""), max_size=3))
    return draw(MEASUREMENT), tags, columns, times


def field_of(name, kind, values):
    present = np.array([each is not None for each in values])
    filled = [(0 if kind != "string" else "") if each is None else each for each in values]
    if kind == "string":
        words = sorted(set(filled))
        return Field(name, np.array([words.index(each) for each in filled]), words, present)
    if kind == "float":
        return Field(name, np.array([np.nan if each is None else each for each in values], float))
    dtype = {"integer": np.int64, "boolean": bool}[kind]
    return Field(name, np.array(filled, dtype), None, present)


@settings(max_examples=60, deadline=None)
@given(tables())
def test_lines_are_those_of_the_clients_point_byte_for_byte(table):
    measurement, tags, columns, times = table
    expected = []
    for row, time in enumerate(times):
        point = Point(measurement).time(time)
        for name, value in tags.items():
            point.tag(name, value)
        for name, (_, values) in columns.items():
            point.field(name, None if values[row] is None else values[row] + 0.0 if
                        isinstance(values[row], float) else values[row])  # fmt: skip
        line = point.to_line_protocol()
        if line:
            expected.append(line + "\n")
    fields = [field_of(name, *each) for name, each in columns.items()]
    assert lines(measurement, tags, fields, np.array(times, np.int64)).decode() == "".join(expected)


@given(st.floats(-1e9, 1e9))
def test_a_float_is_written_to_the_nearest_thousandth(value):
    text = lines("m", {}, [Field("x", np.array([value]))], np.array([1])).decode()
    written = float(text.removeprefix("m x=").removesuffix(" 1\n"))
    assert abs(written - value) <= 0.0005 + abs(value) * 1e-15
    assert not text.startswith("m x=-0 ")


def test_what_is_not_finite_is_left_out_and_a_row_of_nothing_has_no_line():
    values = np.array([np.nan, 1.5, np.inf, -np.inf])
    assert lines("m", {}, [Field("x", values)], np.arange(4)) == b"m x=1.5 1\n"


def test_no_rows_are_no_lines():
    assert lines("m", {}, [Field("x", np.empty(0))], np.empty(0, np.int64)) == b""


@pytest.mark.parametrize("name", ["", "#load", "lo\0ad"])
def test_a_measurement_no_server_could_read_is_refused(name):
    with pytest.raises(ValueError, match="expected"):
        lines(name, {}, [Field("x", np.array([1.0]))], np.array([1]))
