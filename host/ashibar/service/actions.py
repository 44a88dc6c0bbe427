"""What each request does: the one list of actions, called in the pipeline's thread.

Each returns what the interfaces answer, or raises RefusedError, ConflictError or NotFoundError with nothing
changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ashibar import corrections
from ashibar.core import chain, requests
from ashibar.core.alarm import Act
from ashibar.core.alarm_states import Input
from ashibar.core.inspection import Inspection, Rating
from ashibar.core.records import RefusedError, require_name, require_text
from ashibar.core.session import Change, End, Keep, Start, Terms
from ashibar.io.journal import safety
from ashibar.service import sessions, weights, zeroing
from ashibar.service.alarms import ACTIONS
from ashibar.service.desk import ConflictError, NotFoundError
from ashibar.service.recompute import LateSpan

if TYPE_CHECKING:
    from collections.abc import Callable

    from ashibar.core.bodyweight import BodyWeight
    from ashibar.service.rig_service import RigService
    from ashibar.service.service import Service


def act(service: Service, request: requests.Request) -> Any:
    """Do what is asked for and return the answer."""
    return _ACTIONS[type(request)](service, request)


def _rig(service: Service, request: requests.Request) -> RigService:
    rig = service.rig(request.rig)
    rig.now_us = service.now_us
    return rig


def _of_session(service: Service, number: str) -> RigService:
    """Return the rig in which a session of this id runs."""
    for rig in service.rigs.values():
        rig.now_us = service.now_us
        running = rig.session.running
        if running is not None and running.id == number:
            return rig
    if service.reader.session(number) is not None:
        raise ConflictError(
            f"a running session was expected, {number} has ended: enter a correction in the log"
        )
    raise NotFoundError(f"a session was expected, {number!r} came: `ashibar sessions` lists them")


def _start(service: Service, asked: requests.SessionStart) -> Any:
    rig = _rig(service, asked)
    require_name(asked.by, "to start a session")
    therapist = require_name(asked.therapist, "a session's therapist")
    weight, is_new = _weight_for(service, rig, asked, therapist)
    terms = _terms(rig, asked, weight)
    begin = Start(
        by=asked.by, source=asked.source, therapist=therapist, client_code=asked.client_code, terms=terms
    )
    rig.session.step(begin, service.now_us)
    running = rig.session.running
    if asked.notes:
        rig.session.step(Change(by=asked.by, source=asked.source, notes=asked.notes), service.now_us)
        running = rig.session.running
    if running is None:
        raise AssertionError("a session that was started runs")
    if is_new and weight is not None:
        extra = {"rig": rig.name, "session": running.id, "from": asked.source}
        service.weights.enter(therapist, weight, asked.by, extra)
    return sessions.answer(running)


def _weight_for(
    service: Service, rig: RigService, asked: requests.SessionStart, therapist: str
) -> tuple[BodyWeight | None, bool]:
    """Return the weight a session begins with, and whether it was entered with it."""
    now_us, given = service.now_us, asked.weight
    if given is not None:
        made = service.weights.check(
            therapist, given.value_n, given.source, now_us, confirmed=given.confirmed
        )
        return made, True
    remembered = service.weights.of(therapist, now_us)
    if remembered is not None:
        return remembered, False
    base = rig.base_weight
    return (base if base is not None and now_us < base.expires_at_us() else None), False


def _terms(rig: RigService, asked: requests.SessionStart, weight: BodyWeight | None) -> Terms:
    studio = rig.studio_terms(weight)
    limit_n = studio.client_limit_n
    if asked.client_limit_n is not None:
        limit_n = asked.client_limit_n
    elif asked.client_limit is not None:
        if weight is None:
            raise ConflictError(
                "a body weight was expected with a limit in parts of it, none came: weigh first, "
                "or give client_limit_n"
            )
        limit_n = asked.client_limit * weight.value_n
    banded = asked.target_low is not None or asked.target_high is not None
    low, high = (asked.target_low, asked.target_high) if banded else (studio.target_low, studio.target_high)
    return Terms(body_weight=weight, client_limit_n=limit_n, target_low=low, target_high=high)


def _end(service: Service, asked: requests.SessionEnd) -> Any:
    rig = _of_session(service, asked.id)
    rig.session.step(End(by=asked.by, source=asked.source, notes=asked.notes), service.now_us)
    return _newest(rig)


def _keep(service: Service, asked: requests.SessionKeep) -> Any:
    rig = _of_session(service, asked.id)
    rig.session.step(Keep(by=asked.by, source=asked.source), service.now_us)
    return _newest(rig)


def _change(service: Service, asked: requests.SessionChange) -> Any:
    rig = _of_session(service, asked.id)
    terms = rig.terms()
    names = ("client_limit_n", "target_low", "target_high")
    given = {name: getattr(asked, name) for name in names if getattr(asked, name) is not None}
    changed = msgspec.structs.replace(terms, **given) if given else None
    rig.session.step(
        Change(by=asked.by, source=asked.source, terms=changed, notes=asked.notes), service.now_us
    )
    return _newest(rig)


def _newest(rig: RigService) -> Any:
    newest = rig.session.newest
    if newest is None:
        raise AssertionError("a rig whose session was changed has one")
    return sessions.answer(newest)


def _weigh(service: Service, asked: requests.Weigh) -> Any:
    rig = _rig(service, asked)
    by = require_name(asked.by, "to enter a body weight")
    therapist = require_name(asked.therapist, "a body weight: the therapist")
    made = service.weights.check(
        therapist, asked.value_n, asked.weight_source, service.now_us, confirmed=asked.confirmed
    )
    rig.use_weight(therapist, made, by, asked.source)
    return weights.answer(therapist, made)


def _hang_start(service: Service, asked: requests.HangTestStart) -> Any:
    return _rig(service, asked).hang.begin(asked, service.now_us)


def _hang_cancel(service: Service, asked: requests.HangTestCancel) -> Any:
    return _rig(service, asked).hang.cancel(asked.by, service.now_us)


def _zero(service: Service, asked: requests.ZeroNow) -> Any:
    """Zero: the nodes first, so that their lights and weights agree with the figure."""
    rig = _rig(service, asked)
    by = require_name(asked.by, "to zero the bars")
    if len(rig.live.params.nodes) > 1 and not service.zeros.under_way(rig):
        zeroing.proposal(rig, service.now_us)  # a node sees its own cells only
    said = service.zeros.said(rig, asked, service.now_us)
    if said is None:
        return zeroing.LATER
    return zeroing.by_hand(rig, said, by, {"from": asked.source})


def _alarm(service: Service, asked: requests.AlarmAction) -> Any:
    rig = _rig(service, asked)
    try:
        action = Act(ACTIONS[asked.action], asked.by, asked.note, asked.for_s)
        lines = rig.alarms.act(asked.key, action, service.now_us)
    except KeyError as error:
        raise NotFoundError(str(error.args[0])) from error
    rig.alarm_lines(lines)
    return alarm_answer(rig, asked.key)


def alarm_answer(rig: RigService, key: str) -> Any:
    """Return one alarm as the interfaces say it."""
    return next(each for each in alarm_answers(rig, rig.now_us) if each["key"] == key)


def alarm_answers(rig: RigService, now_us: int) -> list[Any]:
    """Return all alarms of a rig as the interfaces say them."""
    views = rig.alarms.views(now_us)
    return [{"rig": rig.name} | view._asdict() | rig.due(view.key, now_us) for view in views]


def _inspect(service: Service, asked: requests.InspectionGiven) -> Any:
    rig, now_us = _rig(service, asked), service.now_us
    at_us = now_us if asked.at_us is None else asked.at_us
    made = Inspection(
        subject=asked.subject, by=asked.by, at_us=at_us, due_us=asked.due_us, passed=asked.passed,
        finding=asked.finding,
    )  # fmt: skip
    keys = rig.alarms.latched(asked.subject) if asked.passed else []
    present = [key for key in keys if rig.alarms.is_present(key)]
    if present:
        raise ConflictError(
            f"unloaded hangers were expected, {', '.join(present)} still present came: take the load off"
        )
    said = rig.inspections.inspect(made, asked.source, now_us)
    for key in keys:
        rig.alarm_lines(rig.alarms.act(key, Act(Input.INSPECT, asked.by, asked.finding), now_us))
    rig.apply(now_us)
    return said


def _rate(service: Service, asked: requests.RatingGiven) -> Any:
    rig, now_us = _rig(service, asked), service.now_us
    at_us = now_us if asked.at_us is None else asked.at_us
    made = Rating(
        rating_n=asked.rating_n, by=asked.by, document=asked.document, at_us=at_us, due_us=asked.due_us
    )
    said = rig.inspections.rate(made, asked.source, now_us)
    rig.apply(now_us)
    return said


def _correct(service: Service, asked: requests.CorrectionGiven) -> Any:
    by, why = require_name(asked.by, "a correction"), require_text(asked.why, "a reason")
    line = service.reader.log_line(asked.seq)
    if line is None:
        raise NotFoundError(f"an entry of the log was expected, {asked.seq} came: `ashibar log` lists them")
    old = chain.from_line(line)
    changed = corrections.parameters_of(service.reader, old, asked.data)
    calibration = corrections.calibration_of(service.reader, asked.data, by, service.now_us)
    entry = service.record.correction(old, by, why, asked.data, utc_us=service.now_us)
    for rig_name, from_us, record in changed:
        service.record.parameters(rig_name, from_us, record)
    if calibration is not None:
        service.record.row(calibration[0], *calibration[1])
    for rig in service.rigs.values():
        rig.now_us = service.now_us
        rig.inspections.take(entry)
        rig.apply(service.now_us)
    return msgspec.to_builtins(entry)


def _summary(service: Service, asked: requests.SummaryMade) -> Any:
    row = service.reader.session(asked.id)
    if row is None or (row.summary is not None and not asked.again):
        raise RefusedError(f"a session without figures was expected, {asked.id} came: nothing to do.")
    text = msgspec.json.encode(asked.summary).decode()
    service.record.row(safety.SUMMARY, text, asked.id)
    data = {"rig": asked.rig, "session": asked.id, "summary": asked.summary}
    service.record.entry("session-summary", "host", data, utc_us=service.now_us)
    return asked.summary


def _recomputed(service: Service, asked: requests.RecomputedMade) -> Any:
    service.record.entry("recomputed", "host", asked.data, utc_us=service.now_us)
    return asked.data


def _late_done(service: Service, asked: requests.LateDone) -> Any:
    rig = _rig(service, asked)
    rig.lateness.done(LateSpan(rig.name, asked.from_us, asked.to_us))
    service.record.state(rig.name, "late", rig.lateness.spans)


def _mended(service: Service, asked: requests.CopyMended) -> Any:
    service.record.entry("influxdb-recomputed", "host", asked.data, utc_us=service.now_us)
    return asked.data


_ACTIONS: dict[type, Callable[[Service, Any], Any]] = {
    requests.SessionStart: _start,
    requests.SessionEnd: _end,
    requests.SessionKeep: _keep,
    requests.SessionChange: _change,
    requests.Weigh: _weigh,
    requests.HangTestStart: _hang_start,
    requests.HangTestCancel: _hang_cancel,
    requests.ZeroNow: _zero,
    requests.AlarmAction: _alarm,
    requests.InspectionGiven: _inspect,
    requests.RatingGiven: _rate,
    requests.CorrectionGiven: _correct,
    requests.SummaryMade: _summary,
    requests.CopyMended: _mended,
    requests.RecomputedMade: _recomputed,
    requests.LateDone: _late_done,
}
