"""The alarms of one rig as they run: final samples decide and go on record, the newest ones are shown.

Showing does not wait for the two samples that rule out a spike; what it shows is thrown away and made anew
from the record's state with every frame, so both agree as soon as those samples are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from ashibar.core import alarm_bank, decoding
from ashibar.core.alarm import Act, AlarmState, Transition  # noqa: TC001 (AlarmState: msgspec reads it)
from ashibar.core.alarm_conditions import Limits, SignalBlock, plan_alarms
from ashibar.core.alarm_memory import Memory, memory_of, with_memory
from ashibar.core.alarm_states import Input, State
from ashibar.core.alarm_table import CALIBRATION_DUE, INSPECTION_DUE
from ashibar.core.hands import Hands
from ashibar.core.quiet import Room, room
from ashibar.replay.script import inspections_due_us, settings_of
from ashibar.replay.source import history

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ashibar.core.alarm_bank import AlarmView
    from ashibar.core.evaluate import Evaluation
    from ashibar.io.journal import SafetyReader

ACTIONS: Final = {
    "acknowledge": Input.ACKNOWLEDGE,
    "shelve": Input.SHELVE,
    "unshelve": Input.UNSHELVE,
    "remove": Input.REMOVE,
    "restore": Input.RESTORE,
    "inspect": Input.INSPECT,
}
RANK: Final = {"high": 0, "medium": 1, "low": 2}
SHOWN_FIELDS: Final = ("key", "state", "priority", "message", "what_to_do", "since_us", "note", "latched")


class Kept(msgspec.Struct, frozen=True):
    """What survives a restart: the alarms after the sample `last_us`, the newest that was looked at.

    `set_us`: from when on the limits hold that were put in force last. `until_us`: up to when silence was
    told. All after `hands` is None in what earlier versions stored.
    """

    states: dict[str, AlarmState]
    last_us: int | None
    live: bool
    hands: Hands = Hands()
    memory: Memory | None = None
    set_us: int | None = None
    until_us: int | None = None


class RigAlarms:
    """One bank with its plan. One thread."""

    def __init__(self, cells: tuple[str, ...], limits: Limits, kept: Kept | None) -> None:
        self.limits = limits
        self._plan = plan_alarms(cells, limits)
        self._set_us: int | None = None
        if kept is None:
            self._bank = alarm_bank.first_bank(self._plan)
        else:
            self._bank = alarm_bank.first_bank(
                self._plan, kept.states, kept.last_us, live=kept.live, hands=kept.hands
            )
        self._shown = self._bank
        self._level: tuple[tuple[AlarmState, ...] | None, bool, str] = (None, False, "none")

    @property
    def last_us(self) -> int | None:
        """The newest final sample seen."""
        return self._bank.last_us

    def shelved_until_us(self, key: str) -> int | None:
        """When the alarm comes off the shelf, None if it is not on it."""
        return alarm_bank.states_by_key(self._plan, self._bank)[key].shelved_until_us

    def go_on(self, kept: Kept) -> None:
        """Take up all that was kept, for the sample that follows; ValueError where it is of other cells."""
        if kept.memory is not None:
            self._bank = self._shown = with_memory(self._bank, kept.memory)
            self._set_us = kept.set_us

    def kept(self, until_us: int) -> Kept:
        """Give what to store for a restart."""
        bank, memory = self._bank, memory_of(self._bank)
        states = alarm_bank.states_by_key(self._plan, bank)
        return Kept(states, bank.last_us, bank.live, bank.carry.hands, memory, self._set_us, until_us)

    @property
    def awaits_hands(self) -> bool:
        """Whether the alarms of the client's load wait for the first load on the bars of this session."""
        return not self._bank.carry.hands.on

    def take(self, seen: Evaluation) -> tuple[Transition, ...]:
        """Evaluate final samples; give what goes on record."""
        if not len(seen):
            return ()
        self._bank, lines = alarm_bank.advance(self._plan, self._bank, SignalBlock.of(seen))
        self._shown = self._bank
        return lines

    def room(self, force_n: Sequence[float] | None, weight_n: float | None, u_client_n: float) -> Room | None:
        """Return how far the cells may move from the newest final forces before anything can change."""
        return None if force_n is None else room(self._plan, self._bank, force_n, weight_n, u_client_n)

    def show(self, newest: Evaluation | None) -> bool:
        """Show what the samples say that are not final yet; True if that differs from the record's state.

        None: they say nothing else.
        """
        self._shown = self._bank
        if newest is None or not len(newest):
            return False
        self._shown, lines = alarm_bank.advance(self._plan, self._bank, SignalBlock.of(newest))
        return bool(lines)

    def observe(
        self, truths: Mapping[str, bool | None], details: Mapping[str, str], now_us: int
    ) -> tuple[Transition, ...]:
        """Take what the host sees beside the signal."""
        self._bank, lines = alarm_bank.observe(self._plan, self._bank, truths, now_us, details)
        if lines:
            self._shown = self._bank
        return lines

    def act(self, key: str, action: Act, now_us: int) -> tuple[Transition, ...]:
        """Take a person's action. KeyError for an unknown alarm, RefusedError where it is not possible."""
        self._bank, lines = alarm_bank.act(self._plan, self._bank, key, action, now_us)
        self._shown = self._bank
        return lines

    def change(self, limits: Limits, *, live: bool, now_us: int) -> tuple[Transition, ...]:
        """Use other limits, and begin or end the time of a session."""
        plan = plan_alarms(self._plan.cells, limits)
        self._set_us = now_us
        self._bank, lines = alarm_bank.replan(self._plan, plan, self._bank, now_us)
        self._plan, self.limits = plan, limits
        self._bank, more = alarm_bank.set_live(plan, self._bank, live=live, now_us=now_us)
        self._shown = self._bank
        return lines + more

    def views(self, now_us: int) -> tuple[AlarmView, ...]:
        """Give every alarm as a person sees it now."""
        return alarm_bank.views(self._plan, self._shown, now_us)

    def latched(self, subject: str) -> list[str]:
        """Give the latched alarms of a hanger, or of all with `rig`."""
        return [
            view.key
            for view in self.views(0)
            if view.latched and (subject == "rig" or view.key.endswith(f":{subject}"))
        ]

    def is_present(self, key: str) -> bool:
        """Tell whether the condition of an alarm is there now, as far as its newest final sample says."""
        return bool(alarm_bank.states_by_key(self._plan, self._bank)[key].condition)

    def page(self, now_us: int) -> list[dict[str, Any]]:
        """Give the alarms a page lists, worst first; those with nothing to say are left out."""
        return [_plain(view) for view in _ranked(self.views(now_us))]

    def level(self) -> str:
        """Give what a light shows."""
        shown = self._shown
        if self._level[0] is not shown.states or self._level[1] != shown.live:
            self._level = (shown.states, shown.live, alarm_bank.alarm_level(self._plan, shown))
        return self._level[2]


def read_kept(record: str) -> Kept:
    """Read what was stored for a restart."""
    return decoding.from_json(record, Kept)


def as_left(reader: SafetyReader, rig: str, now_us: int) -> list[dict[str, Any]]:
    """Give the alarms of a rig as the daemon left them; none where it has never run for this rig."""
    kept, held = reader.rig_state(rig).get("alarms"), settings_of(reader, rig)
    if kept is None or not held:
        return []
    settings = held[-1].settings
    left = RigAlarms(settings.cells, settings.limits, read_kept(kept))
    parameters = history(reader, rig)
    dues = {
        CALIBRATION_DUE.key: parameters[-1].params.calibration_due_us if parameters else None,
        INSPECTION_DUE.key: inspections_due_us(reader, rig, now_us),
    }
    views = left.views(left.last_us or 0)
    return [{"rig": rig} | view._asdict() | {"due_us": dues.get(view.key)} for view in views]


def _ranked(views: Sequence[AlarmView]) -> list[AlarmView]:
    quiet = (State.NORMAL, alarm_bank.NOT_ARMED)
    listed = [view for view in views if view.state not in quiet or view.latched]
    order: list[str] = [State.UNACKNOWLEDGED, State.ACKNOWLEDGED, State.RETURNED]

    def rank(view: AlarmView) -> tuple[bool, int, int]:
        standing = view.state in order
        return not standing, RANK[view.priority], order.index(view.state) if standing else 3

    return sorted(listed, key=rank)


def _plain(view: AlarmView) -> dict[str, Any]:
    return {name: getattr(view, name) for name in SHOWN_FIELDS}
