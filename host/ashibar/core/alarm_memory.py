"""All that a bank of alarms remembers beside its states, as plain values: stored and taken up again exactly.

It stores nothing itself; a bank of other cells is not taken up.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from ashibar.core.alarm_conditions import Carry
from ashibar.core.cell_faults import FaultCarry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ashibar.core.alarm_bank import Bank


class Memory(msgspec.Struct, frozen=True):
    """`Bank` without its states, `Carry` without hands; None where a force is not known."""

    known_us: list[int]
    last_true: list[bool]
    above: list[bool]
    recent_us: list[int]
    recent_n: list[float | None]
    uneven_us: tuple[int, ...]
    last_n: list[list[float | None]]
    last_dt_us: int
    changed_us: list[int]
    window: int
    sum_mn: list[int]
    count: list[int]
    noisy: list[bool]


def memory_of(bank: Bank) -> Memory:
    """Give what is to be stored of a bank."""
    carry, faults = bank.carry, bank.carry.faults
    return Memory(
        known_us=bank.known_us.tolist(),
        last_true=bank.last_true.tolist(),
        above=carry.above.tolist(),
        recent_us=carry.recent_us.tolist(),
        recent_n=_plain(carry.recent_n),
        uneven_us=carry.uneven_us,
        last_n=[_plain(row) for row in faults.last_n],
        last_dt_us=faults.last_dt_us,
        changed_us=faults.changed_us.tolist(),
        window=faults.window,
        sum_mn=faults.sum_mn.tolist(),
        count=faults.count.tolist(),
        noisy=faults.noisy.tolist(),
    )


def with_memory(bank: Bank, memory: Memory) -> Bank:
    """Return the bank with what was stored of one of the same plan; ValueError where it is of another."""
    shapes = (len(memory.known_us), len(memory.above), len(memory.changed_us), len(memory.uneven_us))
    carry = bank.carry
    own = (len(bank.known_us), len(carry.above), len(carry.faults.changed_us), len(carry.uneven_us))
    if shapes != own:
        raise ValueError(f"the memory of {own} alarms, levels, cells and bars was expected, {shapes} came")
    faults = FaultCarry(
        np.array([_numbers(row) for row in memory.last_n]),
        memory.last_dt_us,
        np.array(memory.changed_us, np.int64),
        memory.window,
        np.array(memory.sum_mn, np.int64),
        np.array(memory.count, np.int64),
        np.array(memory.noisy, np.bool_),
    )
    carried = Carry(
        np.array(memory.above, np.bool_),
        np.array(memory.recent_us, np.int64),
        _numbers(memory.recent_n),
        memory.uneven_us,
        faults,
        carry.hands,
    )
    known_us, last_true = np.array(memory.known_us, np.int64), np.array(memory.last_true, np.bool_)
    return replace(bank, carry=carried, known_us=known_us, last_true=last_true)


def _plain(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]


def _numbers(values: list[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)
