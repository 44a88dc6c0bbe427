"""Validity in words."""

import pytest
from ashibar.core.validity import BY_LABEL, FAULT_REASONS, REASONS, CellFault, Validity, fault_reason


def test_the_labels_are_those_of_the_record():
    labels = "valid, motion, calibration overdue, no body weight, not zeroed, not in session, fault, stale"
    assert ", ".join(item.label for item in sorted(Validity)) == labels
    assert BY_LABEL["no body weight"] is Validity.NO_BODY_WEIGHT


def test_a_number_is_shown_only_when_valid_moving_or_overdue():
    shown = {item for item in Validity if item.has_figure}
    assert shown == {Validity.VALID, Validity.MOTION, Validity.CALIBRATION_OVERDUE}


@pytest.mark.parametrize("item", [item for item in Validity if item is not Validity.VALID])
def test_every_condition_has_a_reason_and_a_remedy(item):
    assert all(text.endswith(".") for text in REASONS[item])


@pytest.mark.parametrize("fault", [fault for fault in CellFault if fault is not CellFault.OK])
def test_every_cell_fault_has_words_and_a_remedy_and_names_its_hanger(fault):
    reason, remedy = fault_reason({"left-head": fault})
    assert reason == f"left-head {FAULT_REASONS[fault][0]}."
    assert remedy.endswith(".")


def test_several_faulty_cells_are_named_together():
    two = fault_reason({"left-head": CellFault.ABSENT, "left-foot": CellFault.ABSENT})[0]
    assert two == "left-head and left-foot are not connected."
    mixed = fault_reason({"left-head": CellFault.MISSING, "left-foot": CellFault.ABSENT})[0]
    assert mixed == "left-head sends no data. 1 more cell has another fault."
    more = fault_reason({"a": CellFault.MISSING, "b": CellFault.ABSENT, "c": CellFault.DESYNC})[0]
    assert more == "a sends no data. 2 more cells have other faults."


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (CellFault.NOT_READY, "do not answer. Check the plugs and cables of these cells."),
        (
            CellFault.DESYNC,
            "are read with errors. Check the wiring of these cells; keep them away from motors and lights.",
        ),
        (
            CellFault.SATURATED_LOW,
            "are beyond their range. Take the load off. If it stays, check the cells and cables.",
        ),
        (CellFault.ABSENT, "are not connected. Connect these cells and restart the box."),
        (
            CellFault.UNKNOWN,
            "send values that make no sense. Restart the box; update its firmware if it stays.",
        ),
        (CellFault.MISSING, "send no data. Check the power and the network of their box."),
        (CellFault.UNCALIBRATED, "are not calibrated. Calibrate them before use."),
    ],
)
def test_what_is_said_of_several_cells_is_said_in_the_plural(fault, words):
    assert " ".join(fault_reason(dict.fromkeys("abcd", fault))) == f"a and 3 more {words}"
