"""What each fault looks like at node, wire and page: docs/faults-at-the-node.md, row by row."""

import fault_table
import fault_table_rows as rows
import pytest
from servers import find_program

pytestmark = pytest.mark.alone  # a board read late beside other tests shows faults of its own

SHOWS_A_NUMBER = {
    "spike of the electronics",
    "slow chip",
    "clock stretched",
    "bad command",
    "bad configuration",
    "overload",
}


@pytest.fixture(scope="module")
def seen(micropython, tmp_path_factory):
    """All faults made once on one running chain."""
    if find_program("mosquitto") is None:
        pytest.skip("not on this machine: mosquitto")
    return fault_table.observe(micropython, tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize("row", rows.ALL, ids=lambda row: row.fault)
def test_a_fault_looks_as_documented_at_the_node_on_the_wire_and_to_the_therapist(seen, row):
    told = seen[row.fault]
    if isinstance(told, Exception):
        raise told
    assert (told.node, told.wire, told.page()) == fault_table.documented()[1][row.fault]
    if row.fault not in SHOWS_A_NUMBER:
        assert told.figure is None or told.figure["client"] is None


def test_the_page_of_faults_has_every_fault_once_and_no_other():
    assert list(fault_table.documented()[1]) == [row.fault for row in rows.ALL]
