"""The safety log's chain: whatever is done to it afterwards is found, and at its first entry."""

import hashlib
import json
from itertools import pairwise

import pytest
from ashibar.core.chain import (
    Head,
    append,
    canonical,
    correct,
    daily_heads,
    effective,
    from_line,
    head_of,
    to_line,
    verify,
    verify_bytes,
)
from ashibar.core.records import RefusedError
from hypothesis import given
from hypothesis import strategies as st

DAY_US = 86_400_000_000
AT_US = 1_790_000_000_000_000
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
)


def log(count=4):
    head, entries = None, []
    for seq in range(count):
        kind = "genesis" if seq == 0 else "alarm"
        data = {"studio": "linden", "note": 'öl "x"\n', "load_n": 412.25, "seq": seq, "ok": None}
        entry, head = append(head, utc_us=AT_US + seq * DAY_US // 2, kind=kind, who="Mei", data=data)
        entries.append(entry)
    return entries, head


def lines_of(entries):
    return [to_line(entry) for entry in entries]


def as_file(entries):
    return b"".join(line + b"\n" for line in lines_of(entries))


def test_a_log_left_alone_is_sound_to_its_head():
    entries, head = log()
    assert verify_bytes(as_file(entries)) == (4, head, None)


def test_flipping_any_single_bit_of_the_log_is_detected():
    entries, _ = log(3)
    stored = as_file(entries)
    starts = [0]
    for entry in entries:
        starts.append(starts[-1] + len(to_line(entry)) + 1)
    for place in range(len(stored)):
        owner = next(i for i, (a, b) in enumerate(pairwise(starts)) if a <= place < b)
        for bit in range(8):
            flipped = bytearray(stored)
            flipped[place] ^= 1 << bit
            broken = verify_bytes(bytes(flipped)).broken
            assert broken is not None, (place, bit)
            assert broken.seq in (owner, owner + 1), (place, bit, broken)


def test_the_hash_is_that_of_the_canonical_fields_as_anybody_can_compute_it():
    entries, _ = log(2)
    fields = json.loads(to_line(entries[1]))
    told = fields.pop("hash")
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == told
    assert fields["prev"] == entries[0].hash


@given(JSON)
def test_canonical_json_reads_back_to_the_same_bytes(value):
    line = canonical(value)
    assert canonical(json.loads(line)) == line
    assert b"\n" not in line


def test_canonical_json_does_not_depend_on_the_order_of_keys():
    assert (
        canonical({"b": 1, "a": [-0.0, "é"]})
        == canonical({"a": [0.0, "é"], "b": 1})
        == '{"a":[0.0,"é"],"b":1}'.encode()
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53 + 1, {1: 2}, b"x", "\ud800", {"a": {3}}])
def test_what_json_cannot_carry_safely_is_refused(value):
    with pytest.raises(RefusedError, match=r"(was|were) expected"):
        canonical({"value": value})


def test_a_whole_entry_rewritten_with_a_new_hash_breaks_at_the_next():
    entries, _ = log()
    forged, _ = append(head_of(entries[0]), utc_us=entries[1].utc_us, kind="alarm", who="Mei", data={})
    verdict = verify(lines_of([entries[0], forged, *entries[2:]]))
    assert verdict.broken.seq == 2
    assert "one of them was changed" in verdict.broken.why


def test_a_log_rewritten_to_its_end_is_found_by_a_head_kept_elsewhere():
    entries, head = log()
    forged, forged_head = append(
        head_of(entries[2]), utc_us=entries[3].utc_us, kind="alarm", who="Mei", data={}
    )
    lines = lines_of([*entries[:3], forged])
    assert verify(lines).head == forged_head
    assert verify(lines, [head]).broken == (3, verify(lines, [head]).broken.why)
    assert "written anew" in verify(lines, [head]).broken.why


def test_a_cut_off_tail_is_found_by_a_head_kept_elsewhere_and_not_without():
    entries, head = log()
    lines = lines_of(entries[:2])
    assert verify(lines).broken is None
    assert verify(lines, [head]).broken.seq == 2
    assert "cut off" in verify(lines, [head]).broken.why


@pytest.mark.parametrize("drop", [0, 1, 2])
def test_a_removed_entry_is_found_where_it_stood(drop):
    entries, _ = log()
    assert verify(lines_of(entries[:drop] + entries[drop + 1 :])).broken.seq == drop


def test_entries_in_another_order_are_found():
    entries, _ = log()
    entries[1], entries[2] = entries[2], entries[1]
    assert verify(lines_of(entries)).broken.seq == 1


def test_a_last_line_not_fully_written_is_found():
    entries, _ = log()
    assert "not fully written" in verify_bytes(as_file(entries) + b'{"data"').broken.why


def test_a_correction_is_a_new_entry_and_the_old_one_stays():
    entries, head = log()
    entry, head = correct(
        head, entries[2], utc_us=AT_US, who="Ines", why="wrong note", data={"note": "right"}
    )
    entries.append(entry)
    assert verify(lines_of(entries)) == (5, head, None)
    read = effective(entries)
    assert [e.seq for e in read] == [0, 1, 2, 3]
    assert read[2].data == {"note": "right"}
    assert entries[2].data["note"] != "right"


def test_the_newest_correction_counts():
    entries, head = log()
    for note in ("one", "two"):
        entry, head = correct(head, entries[2], utc_us=AT_US, who="Ines", why="w", data={"note": note})
        entries.append(entry)
    assert effective(entries)[2].data == {"note": "two"}


def test_a_correction_of_what_was_never_written_is_broken():
    entries, head = log()
    data = {"corrects": 2, "old_hash": "0" * 64, "why": "w", "data": {}}
    entry, _ = append(head, utc_us=AT_US, kind="correction", who="Ines", data=data)
    assert "refers to none" in verify(lines_of([*entries, entry])).broken.why


def test_an_entry_without_a_name_is_refused():
    with pytest.raises(RefusedError, match="name"):
        append(None, utc_us=AT_US, kind="genesis", who=" ", data={})


def test_a_log_begins_once():
    _, head = log()
    with pytest.raises(RefusedError, match="begins once"):
        append(head, utc_us=AT_US, kind="genesis", who="Mei", data={})
    with pytest.raises(RefusedError, match="begins once"):
        append(None, utc_us=AT_US, kind="alarm", who="Mei", data={})


def test_the_head_of_a_day_is_its_last_entry():
    entries, _ = log()
    heads = daily_heads(entries)
    assert [(day, head.seq) for day, head in heads.items()] == [
        ("2026-09-21", 0),
        ("2026-09-22", 2),
        ("2026-09-23", 3),
    ]
    assert heads["2026-09-22"] == Head(seq=2, hash=entries[2].hash, utc_us=entries[2].utc_us)


def test_a_line_with_other_bytes_of_the_same_meaning_is_refused():
    line = to_line(log(1)[0][0])
    with pytest.raises(RefusedError, match="other bytes"):
        from_line(line.replace(b'"seq":0', b'"seq": 0'))
