"""Sessions over the API and MQTT, against the daemon, a real mosquitto and bars in real time."""

import json
import time

import pytest
from ashibar.core import chain
from bars import KG, Api, Bars
from servers import wait_until

MEI = {"by": "Mei", "from": "page", "therapist": "Mei", "client_code": "A-17"}


def started(host, **more):
    return host.api.post("sessions", **(MEI | more))


def figure(host):
    return host.figure("room-1")


def test_a_session_is_started_shown_summed_up_and_chained(host, bars):
    session = started(host, weight={"value_n": 70 * KG, "source": "scale"})
    assert session["terms"]["client_limit_n"] == pytest.approx(0.8 * 70 * KG)
    bars.load_kg = [10, 10, 5, 5]
    wait_until(lambda: (figure(host)["client"] or {}).get("value_n", 0) < 41 * KG, "the loaded figure")
    envelope = host.feed.snapshot("room-1")
    assert envelope["session"]["session"]["therapist"] == "Mei"
    studios = {"low": 0.3, "high": 0.6, "limit": pytest.approx(0.8)}
    assert envelope["limits"] == studios | {"armed": envelope["limits"]["armed"]}
    wait_until(lambda: host.feed.snapshot("room-1")["limits"]["armed"], "a second of hands on the bars")
    time.sleep(1.0)
    ended = host.api.post(f"sessions/{session['id']}/end", by="Mei", notes="calm")
    assert ended["notes"] == "calm"
    summary = wait_until(
        lambda: host.api.get(f"sessions/{session['id']}")["summary"], "the figures", within_s=10
    )
    assert summary["samples"]["missing"] == 0
    assert summary["samples"]["stored"] == pytest.approx(80 * summary["duration_s"], abs=12)
    assert summary["percentiles_n"]["50"] == pytest.approx(40 * KG, abs=5)
    assert summary["known_s"] > summary["duration_s"] - 0.2
    kinds = [entry["kind"] for entry in host.api.get("log")]
    assert [kind for kind in kinds if kind.startswith("session")] == [
        "session-started",
        "session-ended",
        "session-summary",
    ]
    verdict = chain.verify(host.safety.log_lines())
    assert verdict.broken is None


def test_nothing_is_done_without_a_name_and_the_words_say_so(host):
    status, words = host.api.refused("sessions", **(MEI | {"by": " "}))
    assert status == 409
    assert "name of the person" in words["expected"]
    status, words = host.api.refused("sessions", **(MEI | {"client_limit_m": 5}))
    assert (status, "client_limit_m" in words["came"]) == (422, True)
    assert host.api.log("session-started") == []
    assert host.api.refused("zero", by="Mei")[0] == 409  # nor without samples
    assert host.api.refused("hang-test", by="", therapist="Mei")[0] == 409


def test_a_request_from_the_page_of_another_host_is_refused(host):
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert host.api.refused("zero", headers, by="Mei")[0] == 403


def test_a_weight_far_from_the_last_asks_to_be_confirmed_and_is_remembered(host):
    host.api.post("weigh", by="Mei", therapist="Mei", value_n=62 * KG, source="scale")
    status, words = host.api.refused("weigh", by="Mei", therapist="Mei", value_n=70 * KG, source="typed")
    assert (status, words["confirm"]) == (409, True)
    host.api.post("weigh", by="Mei", therapist="Mei", value_n=70 * KG, source="typed", confirmed=True)
    assert started(host)["terms"]["body_weight"]["value_n"] == pytest.approx(70 * KG)
    assert [weight["value_n"] / KG for weight in host.api.get("weights?therapist=Mei")] == pytest.approx(
        [70, 62]
    )


def test_a_second_session_is_refused_while_one_runs(host):
    started(host)
    status, words = host.api.refused("sessions", **MEI)
    assert status == 409
    assert "end it first" in words["do"]


def test_a_session_begins_and_ends_over_mqtt_and_a_command_delivered_twice_counts_once(host, bars):
    answers = []
    root = "ashibar/v1/quiet-room/room-1/session"
    bars.client.message_callback_add(f"{root}/reply", lambda _c, _d, m: answers.append(json.loads(m.payload)))
    bars.client.subscribe(f"{root}/reply", 1)
    start = {"id": "1", "do": "start", "by": "Mei", "therapist": "Mei", "client_code": "A-17"}
    for _ in range(2):
        bars.client.publish(f"{root}/set", json.dumps(start), 1)
    wait_until(lambda: answers, "the answer")
    assert answers[0]["ok"]
    assert answers[0]["session"]["started_from"] == "mqtt"
    bars.client.publish(f"{root}/set", json.dumps({"id": "2", "do": "end", "by": "Mei"}), 1)
    bars.client.publish(f"{root}/set", json.dumps({"id": "3", "do": "end", "by": "Mei", "bye": 1}), 1)
    bars.client.publish(f"{root}/set", b"\xff", 1)
    wait_until(lambda: len(answers) == 4, "four answers")
    assert [answer["ok"] for answer in sorted(answers, key=lambda a: str(a["id"]))] == [
        True,
        True,
        False,
        False,
    ]
    assert len(host.api.log("session-started")) == 1


def test_bars_used_without_a_session_are_on_record(host, bars):
    bars.load_kg = [8, 8, 0, 0]
    wait_until(lambda: host.api.log("unattended-use-began"), "the unattended use")
    wait_until(lambda: host.feed.snapshot("room-1")["session"]["unattended_since_us"], "the page to say so")
    started(host)
    ended = host.api.log("unattended-use-ended")[0]
    assert ended["data"]["why"] == "a session began"


def test_a_figure_needs_a_session_where_the_studio_says_so(start_host, mosquitto):
    host = start_host(session={"body_weight_kg": 60, "required": True})
    bars = Bars(mosquitto.port)
    wait_until(lambda: (figure(host) or {}).get("validity") == "not in session", "no figure")
    started(host)
    wait_until(lambda: figure(host)["client"], "the figure")
    bars.stop()


def test_a_correction_is_a_new_entry_and_an_inspection_is_read_with_it(host):
    due = int((time.time() + 86_400 * 365) * 1e6)
    host.api.post(
        "inspections", by="R. Smith", subject="rig", due_us=due, passed=True, finding="anchors tight"
    )
    made = host.api.log("inspection")[0]
    changed = made["data"] | {"finding": "anchors tight, one nut turned"}
    host.api.post("log/corrections", by="Mei", seq=made["seq"], why="forgot the nut", data=changed)
    assert host.api.get("inspections")["inspections"][0]["finding"] == "anchors tight, one nut turned"
    assert host.api.log("inspection") == [made]
    assert host.api.refused("log/corrections", by="Mei", seq=9999, why="x", data={})[0] == 404


def test_the_openapi_description_has_every_action(host):
    api = Api(host.url)
    paths = api.get("openapi.json")["paths"]
    assert {"/api/v1/sessions", "/api/v1/zero", "/api/v1/alarms/{key}/{action}"} <= set(paths)
    body = paths["/api/v1/sessions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert {"by", "therapist", "client_code", "weight", "from"} <= set(body["properties"])
