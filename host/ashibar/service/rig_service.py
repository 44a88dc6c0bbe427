"""Everything that runs for one rig beside its figure: samples, time, people in; record, alarms, page out.

It belongs to the pipeline's thread and calls the core; whoever owns the record commits what it puts there.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from ashibar.core import decoding
from ashibar.core.alarm_states import State
from ashibar.core.alarm_table import CALIBRATION_DUE, INSPECTION_DUE, Standing, standing_truths
from ashibar.core.quiet import Room, Span, span
from ashibar.core.replay_signal import rows_of
from ashibar.core.rig import Target, Zero
from ashibar.core.session import Change, loaded_runs
from ashibar.core.settings import Settings, stored
from ashibar.io.journal import safety
from ashibar.rigs import to_json
from ashibar.service import warm
from ashibar.service.alarms import RigAlarms, read_kept
from ashibar.service.hang import RigHangTest
from ashibar.service.incidents import RigIncidents
from ashibar.service.inspections import Inspections
from ashibar.service.recompute import Lateness
from ashibar.service.sessions import RigSession
from ashibar.service.settings import limits_of, rules_of, terms_of
from ashibar.service.zeroing import AutoZero

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ashibar.core.alarm import Transition
    from ashibar.core.alarm_conditions import Limits
    from ashibar.core.bodyweight import BodyWeight
    from ashibar.core.config import Config, RigConfig
    from ashibar.core.evaluate import Evaluation
    from ashibar.core.rig import RigParameters
    from ashibar.core.session import SessionRecord, Terms
    from ashibar.core.track import NodeSamples
    from ashibar.io.journal import Batch, SafetyReader
    from ashibar.live import LiveRig
    from ashibar.service.record import Record
    from ashibar.service.surroundings import Surroundings
    from ashibar.service.warm import Left, Moment
    from ashibar.service.weights import Weights

FRESH_US: Final = 500_000  # without samples for so long, silence is looked for in every turn
STEADY_US: Final = 1_900_000  # what only a date decides may be seen so much later
MOST_HELD: Final = 480  # samples; more of them are a backlog, and evaluated as they come
RECENT_US: Final = 6_000_000  # samples a zero looks back on, and a second to spare
KEEP_EVERY_US: Final = 10_000_000  # what a restart finds is not older, nor are there more samples since
START_US: Final = 3_000_000  # within this of a start the broker hands out what it kept
CATCHING_UP_US: Final = 2_000_000  # without samples for so long nothing is on its way any more


class RigService:
    """One rig."""

    def __init__(
        self,
        config: Config,
        rig: RigConfig,
        live: LiveRig,
        *,
        record: Record,
        reader: SafetyReader,
        around: Surroundings,
        weights: Weights,
        now_us: int,
    ) -> None:
        kept = reader.rig_state(rig.name)
        self.name = rig.name
        self.live = live
        self.record = record
        self.around = around
        self.weights = weights
        self.now_us = now_us
        self.ended: list[str] = []  # ids of sessions that wait to be summed up
        self.inspections = Inspections(rig.name, live.params.names, record, reader)
        self.session = RigSession(rig.name, rules_of(config), record, kept.get("session"), self._session_said)
        self.incidents = RigIncidents(rig.name, record, kept.get("incident"))
        self.hang = RigHangTest(rig.name, record)
        self.recent: deque[NodeSamples] = deque()
        self.lateness = Lateness(rig.name, kept.get("late"), now_us)
        self._noted_us: dict[str, int] = {}  # of each node: its newest sample, evaluated or not
        self._room: Room | None = None
        self._u_client_n = np.nan
        self._auto_zero = AutoZero(enabled=config.session.auto_zero)
        self._config, self._rig = config, rig
        self._base = live.params
        self._zero = decoding.from_json(kept["zero"], Zero) if "zero" in kept else None
        self._recorded: tuple[str, str] | None = None
        self._kept_us = now_us
        self._ticked_us = self._steady_for_us = 0
        terms = self.terms()
        running = self.session.running is not None
        self._changed = False
        self._kept_sample_us: int | None = None
        self._heard_us = now_us - CATCHING_UP_US
        left = warm.left(reader, rig.name, kept.get("alarms"), live.params, around.ingest.nodes)
        if left is not None and left.skipped_us is None:
            self.alarms = RigAlarms(live.params.names, left.limits, left.kept)
            self._go_on(left)
            self.apply(now_us)
        else:
            limits = limits_of(rig, terms, self.inspections.rating_n(now_us), live=running)
            known = read_kept(kept["alarms"]) if "alarms" in kept else None
            self.alarms = RigAlarms(live.params.names, limits, known)
            self.apply(now_us)
            live.settle(now_us + RECENT_US)  # nothing was measured yet that could wait for it
            if left is not None:
                self._skip(left)

    def _go_on(self, left: Left) -> None:
        """Take up where the host was: samples it had come to prepare what looks back, the others count."""
        last_us = left.kept.last_us or 0
        self.alarms.go_on(left.kept)
        self.session.newest_us = last_us
        self._recorded = left.recorded

        def seen(evaluation: Evaluation) -> None:
            later = evaluation.utc_us > last_us
            self._seen(evaluation if later.all() else rows_of(evaluation, later))

        def put(moment: Moment) -> Callable[[], None]:
            return lambda: self._use_limits(moment.limits, moment.live, moment.from_us)

        first, *later = left.moments
        changes = [(m.from_us, m.params, put(m) if m.anew else lambda: None) for m in later]
        self.live.go_on(first.params, changes, left.samples, seen)
        for each in left.samples:
            self._noted_us[each.node] = max(self._noted_us.get(each.node, 0), int(each.utc_us[-1]))
        self._remember([each for each in left.samples if each.node in self.live.params.columns])
        self._heard_us = self.now_us + START_US - CATCHING_UP_US

    def _skip(self, left: Left) -> None:
        """Say that stored samples are not taken up as they came; what follows from them is recomputed."""
        last_us, newest_us = left.kept.last_us or 0, left.skipped_us or 0
        data = {"rig": self.name, "from_us": last_us, "to_us": newest_us}
        self.record.entry("samples-skipped", "host", data, utc_us=self.now_us)
        if self.lateness.take(last_us, newest_us, newest_us, self.now_us):
            self.record.state(self.name, "late", self.lateness.spans)

    # What comes in

    def hold(self, samples: Sequence[NodeSamples], now_us: int) -> bool:
        """Take in new samples of this rig's nodes; True if they are to be looked at at once."""
        self._heard_us = max(self._heard_us, now_us)
        follows = self.live.hold(samples)
        self._remember(samples)
        return not follows or self.live.held >= MOST_HELD

    def is_ripe(self, now_us: int) -> bool:
        """Tell whether samples are held that need not, or must not, wait for more."""
        live, room = self.live, self._room
        return live.held > 0 and not (live.may_hold and room is not None and now_us < room.until_us)

    def look(self, now_us: int) -> int:
        """Look at the samples held; return how many that were."""
        self.now_us = now_us
        taken = self.live.take_held(self._seen)
        if taken:
            self._show()
        return taken

    def _remember(self, samples: Sequence[NodeSamples]) -> None:
        self.recent.extend(samples)
        newest_us = self.live.heard_us or self.now_us
        while self.recent and self.recent[0].utc_us[-1] < newest_us - RECENT_US:
            self.recent.popleft()

    def note_late(self, samples: NodeSamples, batch: Batch, now_us: int) -> None:
        """Put into `batch`, which stores these samples of one of its nodes, for which time they come late."""
        first_us, last_us = int(samples.utc_us[0]), int(samples.utc_us[-1])
        noted_us, evaluated_us = self._noted_us.get(samples.node), self.alarms.last_us
        known = [at_us for at_us in (evaluated_us, noted_us) if at_us is not None]
        self._noted_us[samples.node] = last_us if noted_us is None else max(last_us, noted_us)
        if self.lateness.take(first_us, last_us, max(known, default=None), now_us):
            spans = msgspec.json.encode(self.lateness.spans).decode()
            batch.statements.append((safety.RIG_STATE, [(self.name, "late", spans)]))

    def spans(self) -> dict[str, Span | None]:
        """Return, for each node, between which counts its samples need not be looked at in a hurry."""
        room, force_n = self._room, self.live.newest_force_n
        if room is None or force_n is None or self.hang.going_on:
            return dict.fromkeys(self.live.params.nodes)
        params = self.live.params
        return {
            node: span(room, params, node, self.around.calibration(node), force_n) for node in params.nodes
        }

    def _show(self) -> None:
        """Show what the newest samples say before they are final, where they may say anything."""
        live, weight = self.live, self.live.params.body_weight
        weight_n = None if weight is None else weight.value_n
        room = self.alarms.room(live.newest_force_n, weight_n, self._u_client_n)
        quiet = room is not None and live.stays(room)
        # Samples not final yet that leave the room are judged with the next frame: it is not to wait.
        self._room = room if quiet else None
        self.alarms.show(None if quiet else live.provisional())

    def tick(self, now_us: int) -> None:
        """Let time pass: forgotten sessions, silence, dates; every two seconds while samples come."""
        self.now_us = now_us
        if 0 <= now_us - self._ticked_us < self._steady_for_us or self._is_steady(now_us):
            return
        self._ticked_us, self._steady_for_us = now_us, 0
        passed_us = self._passed_us(now_us)
        self.live.settle(passed_us, self._seen)
        self.session.tick(passed_us)
        lines = self.alarms.observe(self._truths(now_us), {}, now_us)
        self.alarm_lines(lines)
        going_on = self.incidents.going_on
        self.incidents.tick(passed_us, now_us)
        self._changed |= going_on and not self.incidents.going_on
        self.hang.tick(self.live.heard_us, now_us)
        self._auto_zero.tick(self, now_us)
        if now_us - self._kept_us > KEEP_EVERY_US:
            self.keep()

    def _is_steady(self, now_us: int) -> bool:
        """Tell that nothing can be due yet, and for how long that holds: what only a date decides may wait.

        Silence is looked for as soon as no sample has come for FRESH_US.
        """
        heard_us = self.live.heard_us
        left_us = self._ticked_us + STEADY_US - now_us
        if heard_us is None or not self.live.may_hold or not 0 < left_us <= STEADY_US:
            return False
        fresh_us = heard_us + FRESH_US - now_us
        if fresh_us <= 0 or self.incidents.going_on or self.hang.going_on or self._changed:
            return False
        self._steady_for_us = now_us - self._ticked_us + min(left_us, fresh_us)
        return True

    def _passed_us(self, now_us: int) -> int:
        """Return up to when silence can be told: samples on their way may yet speak of the time after it."""
        newest_us = self.live.newest_us
        if newest_us is None or not now_us - self._heard_us < CATCHING_UP_US:
            return now_us
        return min(now_us, newest_us)

    @property
    def at_rest(self) -> bool:
        """Whether nothing is going on that a later entry will tell the end of."""
        session = self.session
        in_use = session.running is not None or session.state.unattended_from_us is not None
        return not in_use and not self.incidents.going_on

    def nodes_changed(self, now_us: int) -> None:
        """A node said another calibration or zero."""
        self.apply(now_us)

    def keep(self) -> None:
        """Keep for a restart how everything stands after the same sample, and what time alone has decided."""
        passed_us = max(self._passed_us(self.now_us), self.alarms.last_us or 0)
        self.session.tick(passed_us)
        self.incidents.tick(passed_us, self.now_us)
        self._changed = False
        self._kept_us, self._kept_sample_us = self.now_us, self.alarms.last_us
        self.session.keep()
        self.record.state(self.name, "alarms", self.alarms.kept(passed_us))

    def put_state(self, now_us: int) -> None:
        """Put how the rig stands beside the entries of how it came to that: both are stored, or neither."""
        if self._changed:
            self.now_us = now_us
            self.keep()

    def use_zero(self, zero: Zero, now_us: int) -> None:
        """Use a zero taken now."""
        self._zero = zero
        self.record.state(self.name, "zero", zero)
        self.apply(now_us)

    def use_weight(self, therapist: str, weight: BodyWeight, by: str, source: Any) -> dict[str, Any]:
        """Remember a therapist's weight, and use it in their session if that is the one running."""
        running = self.session.running
        number = None if running is None else running.id
        said = self.weights.enter(
            therapist, weight, by, {"rig": self.name, "session": number, "from": source}
        )
        if running is not None and running.therapist == said["therapist"]:
            terms = running.terms
            limit_n = terms.client_limit_n
            if limit_n is None and terms.body_weight is None:
                limit_n = terms_of(self._config, weight).client_limit_n
            changed = msgspec.structs.replace(terms, body_weight=weight, client_limit_n=limit_n)
            self.session.step(Change(by=by, source=source, terms=changed), self.now_us)
        return said

    # What is in force

    def terms(self) -> Terms:
        """Return the terms in force: the session's, or the studio's own."""
        running = self.session.running
        return running.terms if running is not None else terms_of(self._config, self._base.body_weight)

    def studio_terms(self, weight: BodyWeight | None) -> Terms:
        """Return the studio's terms for somebody of this weight."""
        return terms_of(self._config, weight)

    @property
    def base_weight(self) -> BodyWeight | None:
        """The body weight of the configuration."""
        return self._base.body_weight

    def apply(self, from_us: int) -> None:
        """Put what is wanted in force for samples stamped `from_us` or later, and on record."""
        params, terms = self._wanted(), self.terms()
        live = self.session.running is not None
        limits = limits_of(self._rig, terms, self.inspections.rating_n(from_us), live=live)
        number, text = stored(Settings(params.names, limits, self.session.rules, live))
        record = to_json(params)
        if self._recorded == (record, number):
            return
        self.record.parameters(self.name, from_us, record)  # also for limits alone: samples are settled here
        if self._recorded is None or self._recorded[1] != number:
            self.record.row(safety.SETTINGS, number, text)
            self.record.row(safety.RIG_SETTINGS, self.name, from_us, number)
            data = {"rig": self.name, "hash": number, "from_us": from_us}
            self.record.entry("settings", "host", data, utc_us=self.now_us)
        self._recorded = (record, number)

        self.live.change(from_us, params, lambda: self._use_limits(limits, live, from_us))

    def _use_limits(self, limits: Limits, live: bool, from_us: int) -> None:
        self._changed = True
        self.alarm_lines(self.alarms.change(limits, live=live, now_us=from_us))

    def _wanted(self) -> RigParameters:
        terms, running = self.terms(), self.session.running is not None
        base = self._base
        target = base.target
        if running:
            target = Target(terms.target_low, terms.target_high, limit_n=terms.client_limit_n)
        return replace(
            base,
            body_weight=terms.body_weight,
            zero=self._newest_zero(),
            calibration_due_us=self.calibration_due_us(),
            session_required=self._config.session.required,
            in_session=running,
            target=target,
        )

    def _newest_zero(self) -> Zero | None:
        """Return the zero taken last, None if every one is older than a calibration in force."""
        made = [self.around.calibration(node) for node in self._base.nodes]
        since_us = max((each.at_us for each in made if each is not None), default=0)
        taken = (self._zero, self.around.node_zero(self._base))
        zeros = [zero for zero in taken if zero is not None and zero.at_us >= since_us]
        return max(zeros, key=lambda zero: zero.at_us, default=None)

    def calibration_due_us(self) -> int | None:
        """Return when the first calibration of the rig's nodes is due, None where one has none."""
        made = [self.around.calibration(node) for node in self._base.nodes]
        if any(each is None for each in made):
            return None
        valid_us = round(self._config.limits.calibration_valid_days * 86_400e6)
        return min(each.at_us for each in made if each is not None) + valid_us

    def due(self, key: str, now_us: int) -> dict[str, int | None]:
        """Return `due_us` of an alarm that waits for a date, None where there is none."""
        if key == CALIBRATION_DUE.key:
            return {"due_us": self.live.params.calibration_due_us}
        if key == INSPECTION_DUE.key:
            return {"due_us": self.inspections.due_us(now_us)}
        return {"due_us": None}

    # What goes out

    def page(self, now_us: int) -> dict[str, Any]:
        """Return what an envelope of the feed has beside the figure."""
        params = self.live.params
        target, weight = params.target, params.body_weight
        limit = target.limit
        if limit is None and target.limit_n is not None and weight is not None:
            limit = target.limit_n / weight.value_n
        session = self.session.page(now_us) | {"required": params.session_required}
        return {
            "limits": {
                "low": target.low,
                "high": target.high,
                "limit": limit,
                "armed": not self.alarms.awaits_hands,
            },
            "session": session,
            "alarms": [each | self.due(each["key"], now_us) for each in self.alarms.page(now_us)],
            "alarm_level": self.alarms.level(),
            "hang_test": self.hang.answer(),
        }

    def alarm_lines(self, lines: Sequence[Transition]) -> None:
        """Put what alarms did on record, with the incidents that follow from it."""
        if not lines:
            return
        running = self.session.running
        number = None if running is None else running.id
        for line in lines:
            data: dict[str, Any] = {
                "rig": self.name,
                "session": number,
                "key": line.key,
                "cause": line.cause,
                "before": line.before,
                "after": line.after,
                "priority": line.priority,
                "note": line.note,
            }
            if line.by:
                data["after_us"] = self.alarms.last_us
            if line.after is State.SHELVED and line.by:
                data["until_us"] = self.alarms.shelved_until_us(line.key)
            self.record.entry("alarm", line.by or "host", data, utc_us=line.at_us)
        self.incidents.take(lines, self._context(number), self.now_us)
        self._changed = True

    def _context(self, session: str | None) -> dict[str, Any]:
        params = self.live.params
        calibrations = {node: self.around.calibration(node) for node in params.nodes}
        context: Any = msgspec.to_builtins(
            {
                "session": session,
                "calibrations": {node: None if c is None else c.id for node, c in calibrations.items()},
                "zero": params.zero,
                "body_weight": params.body_weight,
                "limits": self.alarms.limits,
            }
        )
        return dict(context)

    def _seen(self, seen: Evaluation) -> None:
        """Take samples that are final."""
        if not len(seen):
            return
        self.alarm_lines(self.alarms.take(seen))
        self._u_client_n = 2.0 * float(seen.u_client_n[-1])
        last_us = self.session.newest_us = self.alarms.last_us
        if last_us is not None and last_us - (self._kept_sample_us or 0) > KEEP_EVERY_US:
            self._changed = True
        bar_n = np.where(seen.zeroed, seen.bar_n, np.nan)
        self.session.loaded(loaded_runs(seen.utc_us, bar_n), self.now_us)
        self.hang.take(seen, self)

    def _session_said(self, line: SessionRecord) -> None:
        self._changed = True
        if line.kind == "session-ended" and line.session is not None:
            self.ended.append(line.session)
        # The sample taken at the very end is still the session's.
        self.apply(max(line.at_us, self.now_us) + (line.kind == "session-ended"))

    def _truths(self, now_us: int) -> dict[str, bool | None]:
        params = self.live.params
        weight = params.body_weight
        standing = Standing(
            in_session=self.session.running is not None,
            last_sample_us=self.live.heard_us,
            calibration_due_us=params.calibration_due_us,
            inspection_due_us=self.inspections.due_us(now_us),
            weight_expires_us=None if weight is None else weight.expires_at_us(params.body_weight_max_age_s),
            clock_bound_s=self.around.clock_bound_s(params.nodes),
            store_free_fraction=self.around.store_free(),
            sink_lag_s=self.around.sink_lag_s(),
            zero_drift_fraction=self.around.zero_drift(params),
        )
        return standing_truths(standing, params.names, now_us)
