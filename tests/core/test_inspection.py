"""Inspections and ratings as entries of the log, and what is due."""

import pytest
from ashibar.core.chain import append, correct
from ashibar.core.inspection import (
    DAY_US,
    DueState,
    Inspection,
    Rating,
    earliest_due_us,
    inspection_data,
    obligations,
    rating_data,
    rating_in_force,
    read_inspections,
    read_ratings,
)
from ashibar.core.records import RefusedError

NOW_US = 1_790_000_000_000_000
CELLS = ("left-head", "left-foot")


def looked_at(subject="rig", *, at_day=0, due_day=365, passed=True, by="Ines", finding="sound"):
    return Inspection(
        subject=subject, by=by, at_us=NOW_US + at_day * DAY_US, due_us=NOW_US + due_day * DAY_US,
        passed=passed, finding=finding,
    )  # fmt: skip


def rated(newtons=4000.0, *, at_day=0, due_day=700, by="Ira", document="report 7"):
    return Rating(
        rating_n=newtons, by=by, document=document, at_us=NOW_US + at_day * DAY_US,
        due_us=NOW_US + due_day * DAY_US,
    )  # fmt: skip


def states(now_day, inspections, ratings=()):
    dues = obligations(CELLS, inspections, ratings, NOW_US + now_day * DAY_US)
    return {f"{due.kind} {due.subject}": due.state for due in dues}


def test_what_was_never_done_is_due():
    assert set(states(0, []).values()) == {DueState.NEVER}
    assert earliest_due_us(obligations(CELLS, [], [], NOW_US)) is None


def test_an_inspection_is_ok_then_due_soon_then_overdue():
    made = [looked_at()]
    found = [states(day, made)["inspection rig"] for day in (1, 334, 335, 364, 365)]
    assert found == [DueState.OK, DueState.OK, DueState.SOON, DueState.SOON, DueState.OVERDUE]


def test_a_failed_inspection_leaves_its_subject_overdue_at_once():
    made = [looked_at("left-head"), looked_at("left-head", at_day=10, passed=False)]
    assert states(11, made)["inspection left-head"] is DueState.OVERDUE
    assert states(9, made)["inspection left-head"] is DueState.OK


def test_the_earliest_date_of_all_obligations_counts():
    made = [looked_at(), looked_at("left-head", due_day=90), looked_at("left-foot", due_day=120)]
    assert earliest_due_us(obligations(CELLS, made, [rated()], NOW_US)) == NOW_US + 90 * DAY_US


def test_a_rating_past_its_date_still_limits_and_is_overdue():
    ratings = [rated(4000.0), rated(3500.0, at_day=10, due_day=20)]
    assert rating_in_force(ratings, NOW_US + 5 * DAY_US).rating_n == 4000.0
    assert rating_in_force(ratings, NOW_US + 30 * DAY_US).rating_n == 3500.0
    assert states(30, [], ratings)["rating rig"] is DueState.OVERDUE
    assert rating_in_force([], NOW_US) is None


def test_entries_of_the_log_read_back_with_their_corrections():
    _, head = append(None, utc_us=NOW_US, kind="genesis", who="host", data={})
    first, head = append(
        head, utc_us=NOW_US, kind="inspection", who="Ines", data=inspection_data(looked_at(), CELLS)
    )
    second, head = append(head, utc_us=NOW_US, kind="rating", who="Ira", data=rating_data(rated()))
    fixed, _ = correct(head, second, utc_us=NOW_US, who="Ira", why="misread", data=rating_data(rated(400.0)))
    assert read_inspections([first, second, fixed]) == [looked_at()]
    assert read_ratings([first, second, fixed]) == [rated(400.0)]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (looked_at(by=" "), "name"),
        (looked_at(finding=""), "finding"),
        (looked_at("roof"), "left-head"),
        (looked_at(due_day=0), "correct it"),
    ],
)
def test_an_inspection_without_name_finding_subject_or_date_is_refused(bad, why):
    with pytest.raises(RefusedError, match=why):
        inspection_data(bad, CELLS)


@pytest.mark.parametrize(
    "bad", [rated(0.0), rated(-1.0), rated(4e6), rated(float("nan")), rated(by=""), rated(document=" ")]
)
def test_a_rating_without_a_plausible_force_name_or_document_is_refused(bad):
    with pytest.raises(RefusedError, match=r"expected|name"):
        rating_data(bad)
