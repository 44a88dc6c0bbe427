"""The commands on the record: what they print, what they refuse, how they end; with and without a daemon."""

import csv
import io
import json
import re
import subprocess
import sys

import pytest
from ashibar.cli import show
from ashibar.cli.client import Api, ApiError
from ashibar.cli.options import Place
from records import T0
from servers import wait_until
from studio import RIG

SESSION = "room-1-20260922T000002003Z"
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d")
SUMMED = {"duration_s": 17.997}


def test_sessions_are_listed_with_their_figures_without_a_daemon(run, record):
    told = run("sessions", "--journal", record)
    assert told.exit_code == 0
    assert "Mei" in told.output
    assert "0:00:18" in told.output
    (listed,) = json.loads(run("sessions", "--journal", record, "--json").output)
    assert listed["id"] == SESSION
    assert listed["summary"]["duration_s"] == SUMMED["duration_s"]


def test_sessions_before_a_moment_are_left_out(run, record):
    assert json.loads(run("sessions", "--journal", record, "--from", "2026-10-01", "--json").output) == []


def test_one_session_is_shown_in_words_and_a_unit(run, record):
    told = run("session", "show", SESSION, "--journal", record, "--unit", "lb")
    assert told.exit_code == 0
    assert re.search(r"client max +\d+\.\d lb at ", told.output)
    assert "154.3 lb by scale" in told.output


def test_a_session_that_is_not_there_is_refused_with_what_to_do(run, record):
    told = run("session", "show", "nobody", "--journal", record)
    assert told.exit_code == 1
    assert "expected a session" in told.output
    assert "do       `ashibar sessions`" in told.output


def test_verify_says_that_the_record_holds(run, record):
    told = run("verify", "--journal", record)
    assert told.exit_code == 0, told.output
    assert "the same, number by number" in told.output
    full = json.loads(run("verify", "--journal", record, "--session", SESSION, "--json").output)
    assert full["log"]["broken"] is None
    assert full["stretches"][0]["differences"] == []


def test_verify_compares_the_log_with_heads_kept_elsewhere(run, record, tmp_path):
    kept = tmp_path / "heads.json"
    kept.write_text(run("log", "heads", "--journal", record).output)
    assert run("verify", "--log-only", "--journal", record, "--heads", kept).exit_code == 0
    head = json.loads(kept.read_text().splitlines()[-1])
    wrong = run("verify", "--log-only", "--journal", record, "--head", f"{head['seq']}:{'0' * 64}")
    assert wrong.exit_code == 1
    assert f"BROKEN at entry {head['seq']}" in wrong.output
    cut = run("verify", "--log-only", "--journal", record, "--head", f"{head['seq'] + 1}:{'0' * 64}")
    assert "the tail was cut off" in cut.output


@pytest.mark.parametrize(
    "words", [["verify"], ["replay", "--session", SESSION], ["export", "sessions"], ["inspect", "list"]]
)
def test_a_command_runs_in_a_process_of_its_own(record, words):
    call = [sys.executable, "-c", "from ashibar.cli import main; main()", *words, "--journal", str(record)]
    done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_replay_prints_what_follows_from_the_frames(run, record):
    told = run("replay", "--session", SESSION, "--journal", record)
    assert told.exit_code == 0
    assert "client-over-limit" in told.output
    (derived,) = json.loads(run("replay", "--session", SESSION, "--journal", record, "--json").output)
    assert derived["sessions"][0]["summary"]["duration_s"] == SUMMED["duration_s"]
    assert derived["refused"] == []


def test_the_log_is_shown_by_kind_and_as_json(run, record):
    told = run("log", "--journal", record, "--kind", "session-started", "--kind", "session-ended")
    assert told.exit_code == 0
    assert "2 entries" in told.output
    entries = json.loads(run("log", "--journal", record, "--json").output)
    assert entries[0]["kind"] == "genesis"
    told = run("log", "--journal", record, "--kind", "alarm").output
    assert "room-1 client-over-limit: acknowledge, unacknowledged to acknowledged" in told


def test_alarms_without_a_daemon_are_shown_as_it_left_them(run, record, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ashibar.cli.options.Place.api", lambda _: Api("http://127.0.0.1:9"))
    told = run("alarms", "--journal", record, "--all")
    assert told.exit_code == 0
    assert "nobody watches" in told.output
    assert "inspection-due" in told.output
    listed = json.loads(run("alarms", "--journal", record, "--json").output)
    states = {each["key"]: each["state"] for each in listed}
    assert (states["rig-over-rating"], states["fall"]) == ("not-armed", "normal")
    shown = run("alarms", "--journal", record).output
    assert "client-near-limit" in shown, "over, and nobody answered"
    assert "rig-over-rating" not in shown
    dues = {each["key"]: each["due_us"] for each in listed}
    calibrated_us = T0 - 3_600_000_000
    assert dues["calibration-due"] == calibrated_us + 365 * 86_400_000_000
    assert (dues["inspection-due"], dues["fall"]) == (None, None)


def test_samples_are_exported_with_units_and_offsets(run, record):
    told = run("export", "signal", "--session", SESSION, "--journal", record)
    rows = list(csv.DictReader(io.StringIO(told.output)))
    assert len(rows) == 1439
    assert {"client_load [N]", "bar_load [N]", "left_head [N]", "validity"} < set(rows[0])
    assert ISO.fullmatch(rows[0]["time"])
    assert float(rows[5]["client_load [N]"]) + float(rows[5]["bar_load [N]"]) == pytest.approx(
        70 * 9.80665, abs=2e-3
    )


def test_sessions_alarms_and_log_are_exported_as_lines_of_json(run, record, tmp_path):
    for what, name in (("sessions", "session"), ("alarms", "key"), ("log", "hash")):
        file = tmp_path / f"{what}.jsonl"
        told = run("export", what, "--journal", record, "-o", file, "--json")
        assert told.exit_code == 0, told.output
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert len(lines) == json.loads(told.output)["rows"] > 0
        assert all(name in line for line in lines)
    assert lines[-1]["time"].startswith("20")


def test_a_file_that_cannot_be_written_is_said_and_nothing_is_left(run, record, tmp_path):
    told = run("export", "log", "--journal", record, "-o", tmp_path / "nowhere" / "log.csv")
    assert told.exit_code == 1
    assert "expected to write" in told.output


def test_parquet_without_pyarrow_says_how_to_get_it(run, record, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    told = run("export", "signal", "--journal", record, "-o", tmp_path / "signal.parquet")
    assert told.exit_code == 2
    assert "pip install 'ashibar[parquet]'" in told.output
    assert list(tmp_path.iterdir()) == []


def test_parquet_has_the_same_columns_and_numbers_as_csv(run, record, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is an extra")
    file = tmp_path / "signal.parquet"
    assert run("export", "signal", "--session", SESSION, "--journal", record, "-o", file).exit_code == 0
    rows = list(
        csv.DictReader(io.StringIO(run("export", "signal", "--session", SESSION, "--journal", record).output))
    )
    table = parquet.read_table(file).to_pylist()
    assert list(table[0]) == list(rows[0])
    assert [each["bar_load [N]"] for each in table] == [float(each["bar_load [N]"]) for each in rows]


def test_a_journal_that_is_not_there_ends_with_3(run, tmp_path):
    told = run("sessions", "--journal", tmp_path / "none.sqlite")
    assert told.exit_code == 3
    assert "came     no such file" in told.output


def test_a_file_that_is_no_journal_ends_with_3(run, tmp_path):
    (tmp_path / "notes.txt").write_text("not a journal, but long enough to look like a file of some kind")
    told = run("sessions", "--journal", tmp_path / "notes.txt")
    assert told.exit_code == 3
    assert "expected a journal of this version" in told.output


def test_a_time_that_is_none_is_refused_with_examples(run, record):
    told = run("sessions", "--journal", record, "--from", "yesterday")
    assert told.exit_code == 2
    assert "2026-05-04" in told.output


def test_a_daemon_that_does_not_answer_ends_with_3(run):
    told = run("ack", "fall", "--by", "Mei", "--url", "http://127.0.0.1:9")
    assert told.exit_code == 3
    assert "expected a running ashibar at http://127.0.0.1:9" in told.output


def test_an_action_needs_a_name_and_takes_it_from_the_environment(run):
    assert "Missing option '--by'" in run("ack", "fall", "--url", "http://127.0.0.1:9").output
    told = run("ack", "fall", "--url", "http://127.0.0.1:9", env={"ASHIBAR_BY": "Mei"})
    assert told.exit_code == 3


def test_a_session_is_started_shown_and_ended_through_the_daemon(run, daemon):
    url = ("--url", daemon.url)
    words = ("--therapist", "Mei", "--client", "c-7", "--weight-kg", "70", "--limit-kg", "60")
    began = run("session", "start", "--by", "Mei", *words, "--target", "20", "60", *url, "--json")
    assert began.exit_code == 0, began.output
    told = json.loads(began.output)
    assert told["terms"]["client_limit_n"] == pytest.approx(60 * 9.80665)
    again = run("session", "start", "--by", "Mei", "--therapist", "Mei", "--client", "c-8", *url)
    assert again.exit_code == 1
    assert "do       " in again.output
    ended = run("session", "end", "--by", "Mei", "--notes", "calm", *url)
    assert ended.exit_code == 0, ended.output
    assert told["id"] in ended.output
    shown = json.loads(
        run("session", "show", told["id"], "--journal", daemon.config.journal_path, "--json").output
    )
    assert shown["notes"] == "calm"
    assert run("session", "end", "--by", "Mei", *url).exit_code == 1


def test_alarms_are_listed_and_answered_through_the_daemon(run, daemon):
    url = ("--url", daemon.url)

    def due():
        listed = json.loads(run("alarms", "--all", *url, "--json").output)
        return {"unacknowledged"} & {each["state"] for each in listed if each["key"] == "inspection-due"}

    wait_until(due, "the alarm that no inspection is on record")
    assert "acknowledged" in run("ack", "inspection-due", "--by", "Mei", *url).output
    shelved = run(
        "alarm", "shelve", "calibration-due", "--by", "Mei", "--note", "booked", "--minutes", "30", *url
    )
    assert "shelved" in shelved.output
    refused = run("alarm", "shelve", "fall", "--by", "Mei", "--note", "no", "--minutes", "1", *url)
    assert refused.exit_code == 1
    assert run("ack", "no-such-alarm", "--by", "Mei", *url).exit_code == 1


def test_inspections_and_ratings_are_recorded_and_listed_with_and_without_the_daemon(run, daemon):
    url, journal = ("--url", daemon.url), ("--journal", daemon.config.journal_path)
    done = run(
        "inspect", "add", "rig", "--by", "Ana", "--passed", "--finding", "sound", "--due", "2099-01-01", *url
    )
    assert done.exit_code == 0, done.output
    rated = run(
        "inspect",
        "rating",
        "--by",
        "Ana",
        "--rating-n",
        "4000",
        "--document",
        "r-1",
        "--due",
        "2099-01-01",
        *url,
    )
    assert rated.exit_code == 0, rated.output
    online = json.loads(run("inspect", "list", *url, "--json").output)
    assert online["ratings"][0]["rating_n"] == 4000.0
    told = run("inspect", "list", *url)
    assert "sound" in told.output
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Place, "api", lambda _: Api("http://127.0.0.1:9"))
        offline = json.loads(run("inspect", "list", *journal, "--json").output)
    assert offline == online


def test_a_weight_far_from_the_last_is_asked_back(run, daemon):
    url = ("--url", daemon.url)
    first = run("weigh", "70", "--by", "Mei", "--therapist", "Mei", *url)
    assert first.exit_code == 0, first.output
    assert "70.0 kg +- 0.6 kg" in first.output
    asked = run("weigh", "80", "--by", "Mei", "--therapist", "Mei", *url)
    assert asked.exit_code == 1
    assert run("weigh", "80", "--by", "Mei", "--therapist", "Mei", "--yes", *url).exit_code == 0


def test_a_hang_test_without_data_fails_and_says_why(run, daemon):
    told = run("hang-test", "--by", "Mei", "--therapist", "Mei", "--url", daemon.url)
    assert told.exit_code == 1
    assert "FAILED" in told.output or "do       " in told.output


def test_a_correction_is_entered_beside_what_it_corrects(run, daemon):
    words = ("--by", "Ana", "--why", "typing error", "--url", daemon.url)
    told = run("log", "correct", "0", *words, "--data", '{"studio": "test-2"}')
    assert told.exit_code == 0, told.output
    assert "corrects entry 0" in told.output
    bad = run("log", "correct", "0", "--by", "Ana", "--why", "x", "--data", "{", "--url", daemon.url)
    assert bad.exit_code == 2


def test_an_address_that_is_not_ours_is_said_to_be_something_else():
    with pytest.raises(ApiError, match="begins with http"):
        Api("ftp://127.0.0.1").get("sessions")


def test_times_are_shown_with_their_offset_and_durations_in_hours():
    assert ISO.fullmatch(show.iso(T0))
    assert show.iso(T0, utc=True) == "2026-09-22T00:00:00.000+00:00"
    assert show.lasting(3723.4) == "1:02:03"
    first, last = show.day_span("2026-05-04")
    assert last - first + 1 == 86_400_000_000
    assert RIG == "room-1"
