"""What may go from the journal, and in which order: decided without a disk."""

from ashibar.core.retention import (
    DAY_US,
    ColdBlock,
    Policy,
    Room,
    Shortage,
    doomed,
    shortage,
    surplus_bytes,
    words,
)
from hypothesis import given
from hypothesis import strategies as st

GB = 10**9
NOW_US = 1000 * DAY_US


def blocks(count=10):
    return [ColdBlock(n, n * 100, n * DAY_US, (n + 1) * DAY_US - 1, 1000) for n in range(1, count + 1)]


def gone(found):
    return [each.block for each in found]


def test_without_a_limit_nothing_ever_goes():
    assert doomed(blocks(), floor_id=10**9, kept=[], now_us=NOW_US, policy=Policy()) == []


def test_what_is_older_than_its_time_goes_if_every_sink_has_it():
    policy = Policy(raw_days=5)
    assert gone(doomed(blocks(), floor_id=10**9, kept=[], now_us=10 * DAY_US, policy=policy)) == [1, 2, 3, 4]
    assert gone(doomed(blocks(), floor_id=250, kept=[], now_us=10 * DAY_US, policy=policy)) == [1, 2]


def test_the_span_of_an_incident_never_goes():
    kept = [(2 * DAY_US + 5, 2 * DAY_US + 6), (4 * DAY_US - 1, 4 * DAY_US)]
    found = doomed(
        blocks(), floor_id=10**9, kept=kept, now_us=NOW_US, policy=Policy(raw_days=1), surplus=10**9
    )
    assert not {2, 3} & set(gone(found))
    assert {1, 4, 5} <= set(gone(found))


def test_a_short_store_gives_the_oldest_first_and_no_more_than_needed():
    found = doomed(blocks(), floor_id=10**9, kept=[], now_us=NOW_US, policy=Policy(), surplus=2500)
    assert gone(found) == [1, 2, 3]
    assert {each.reason for each in found} == {"store full"}


@given(st.integers(0, 1000), st.integers(0, 20_000), st.lists(st.integers(0, 12), max_size=4))
def test_whatever_the_need_nothing_unsent_or_kept_is_given(floor_id, surplus, days):
    kept = [(day * DAY_US, day * DAY_US + 1) for day in days]
    found = doomed(
        blocks(), floor_id=floor_id, kept=kept, now_us=NOW_US, policy=Policy(raw_days=1), surplus=surplus
    )
    by_id = {block.id: block for block in blocks()}
    for each in found:
        block = by_id[each.block]
        assert block.last_id <= floor_id
        assert not any(start <= block.last_us and block.first_us < end for start, end in kept)


def test_a_budget_without_a_time_is_kept_by_shedding_and_warns_only_where_that_does_not_help():
    policy = Policy(max_bytes=10 * GB, min_free_bytes=GB)
    assert shortage(Room(94 * GB // 10, 50 * GB), policy) is Shortage.NONE
    assert shortage(Room(19 * GB // 2, 50 * GB), policy) is Shortage.SHED
    assert words(Room(94 * GB // 10, 50 * GB), policy) is None
    assert shortage(Room(100 * GB, 50 * GB), Policy()) is Shortage.NONE


def test_a_budget_too_small_for_the_time_that_was_asked_for_warns_and_says_what_to_change():
    policy = Policy(raw_days=365, max_bytes=10 * GB, min_free_bytes=GB)
    assert shortage(Room(89 * GB // 10, 50 * GB), policy) is Shortage.NONE
    assert shortage(Room(9 * GB, 50 * GB), policy) is Shortage.WARN
    said = words(Room(9 * GB, 50 * GB), policy)
    assert "raise [journal] max_gb or lower raw_days" in said
    assert "365 days" in said


def test_a_short_disk_warns_before_it_sheds():
    policy = Policy(max_bytes=10 * GB, min_free_bytes=GB)
    assert shortage(Room(GB, 3 * GB // 2), policy) is Shortage.WARN
    assert "free some space" in words(Room(GB, 3 * GB // 2), policy)
    assert shortage(Room(GB, GB - 1), policy) is Shortage.SHED


def test_shedding_goes_below_the_mark_so_that_it_is_not_done_block_by_block():
    policy = Policy(max_bytes=10 * GB, min_free_bytes=GB)
    assert surplus_bytes(Room(8 * GB, 50 * GB), policy) == 0
    assert surplus_bytes(Room(96 * GB // 10, 50 * GB), policy) == 6 * GB // 10
    assert surplus_bytes(Room(GB, GB // 2), policy) == GB // 2


def test_the_warning_says_how_much_is_left_and_who_holds_it_up():
    policy = Policy(max_bytes=10 * GB)
    assert words(Room(GB, 50 * GB), policy) is None
    said = words(Room(96 * GB // 10, 50 * GB), policy, ["influx"])
    assert "9600 of 10000 MB" in said
    assert "influx still has to take" in said
