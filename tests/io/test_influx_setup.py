"""`ashibar influx` and `ashibar doctor`: 1.x as it is, 2.x and 3 Core as documented, and any server given."""

import json
import time

import msgspec
import pytest
from ashibar.cli import main
from ashibar.cli.influx import _seconds
from ashibar.io.influx import InfluxWriter, PausedError
from ashibar.io.influx.server import Server, ServerError
from ashibar.io.influx.setup import _seconds as seconds_of
from ashibar.io.influx.setup import init
from ashibar.io.influx.writer import RejectedError
from ashibar.io.journal import Batch, Journal
from click.testing import CliRunner
from influx_fakes import TOKEN, Three, Two
from influx_http import Between
from records import T0, first_batch, frame_rows, load

YEAR_S = 365 * 86_400


@pytest.fixture
def between():
    between = Between()
    yield between
    between.stop()


def says(server, bucket="ashibar", retention_s=None, org="-"):
    return list(init(server, org, bucket, retention_s))


def test_a_1x_server_gets_database_and_retention_and_a_second_time_nothing(influx):
    influx.need(1)
    server, name = Server(influx.url, ""), influx.another()
    first = says(server, name, YEAR_S)
    assert first[0].startswith("found InfluxDB 1.")
    assert f"database {name}: made" in first
    assert "retention policy autogen: changed, points stay 365 days" in first
    again = says(server, name, YEAR_S)
    assert f"database {name}: is there" in again
    assert "retention policy autogen: is there, points stay 365 days" in again
    assert "retention policy autogen: changed, points stay 1 days" in says(server, name, 86_400)
    assert "retention policy autogen: changed, points stay for ever" in says(server, name, 0)
    policies = server.influxql("", f'SHOW RETENTION POLICIES ON "{name}"')
    assert [(row["name"], row["duration"], row["default"]) for row in policies] == [("autogen", "0s", True)]


def test_a_1x_policy_named_with_the_bucket_is_made(influx):
    influx.need(1)
    server = Server(influx.url, "")
    assert "retention policy long: made, points stay 365 days" in says(
        server, f"{influx.another()}/long", YEAR_S
    )


def test_a_2x_server_gets_bucket_retention_and_mapping(between):
    between.answer = fake = Two()
    server = Server(between.url, TOKEN)
    assert says(server, retention_s=YEAR_S) == [
        "found InfluxDB 2.8.0 OSS",
        "bucket ashibar: made, points stay 365 days",
        "mapping for InfluxQL: made: database ashibar, policy autogen",
    ]
    rule = {"type": "expire", "everySeconds": YEAR_S, "shardGroupDurationSeconds": 604_800}
    assert fake.buckets[0]["retentionRules"] == [rule]
    assert fake.mappings[0]["bucketID"] == fake.buckets[0]["id"]
    assert says(server)[1:] == [
        "bucket ashibar: is there, points stay 365 days",
        "mapping for InfluxQL: is there: database ashibar, policy autogen",
    ]
    assert "bucket ashibar: is there, changed: points stay 0.5 days" in says(server, retention_s=43_200)
    assert fake.buckets[0]["retentionRules"][0]["shardGroupDurationSeconds"] == 3600
    assert "bucket ashibar: is there, changed: points stay for ever" in says(server, retention_s=0)
    assert len(fake.buckets) == len(fake.mappings) == 1
    assert {headers["Authorization"] for _, _, _, headers, _ in between.seen} == {f"Token {TOKEN}"}


def test_a_mapping_that_2x_makes_by_itself_is_left_to_it(between):
    between.answer = fake = Two(virtual=True)
    assert "by itself" in says(Server(between.url, TOKEN))[-1]
    assert fake.mappings == []


@pytest.mark.parametrize("virtual", [False, True])
def test_a_bucket_named_as_database_and_policy_is_mapped_so(between, virtual):
    between.answer = fake = Two(virtual=virtual)
    for _ in range(2):
        assert says(Server(between.url, TOKEN), "first/long")[-1].endswith("database first, policy long")
    assert len(fake.mappings) == (not virtual)


@pytest.mark.parametrize("virtual", [False, True])
def test_a_name_that_leads_to_another_bucket_is_said_with_what_to_do(between, virtual):
    between.answer = fake = Two(virtual=virtual)
    fake.mappings.append(
        {"database": "ashibar", "retention_policy": "autogen", "default": True, "bucketID": "old", "id": "d7"}
    )
    with pytest.raises(ServerError, match=r"the bucket with the id old; delete that mapping .*--id d7"):
        says(Server(between.url, TOKEN))


def test_a_server_nobody_has_set_up_is_not_taken_for_a_wrong_token(between):
    between.answer = Two(new=True)
    with pytest.raises(ServerError, match="a new one; set it up"):
        says(Server(between.url, ""))


def test_a_token_of_one_bucket_is_enough_where_the_bucket_is(between):
    between.answer = fake = Two(narrow=True)
    with pytest.raises(ServerError, match="'house', and the token may see none; use one with more rights"):
        says(Server(between.url, TOKEN), org="house")
    fake.buckets.append({"name": "ashibar", "id": "b0", "orgID": "0a", "retentionRules": []})
    assert "bucket ashibar: is there, points stay for ever" in says(Server(between.url, TOKEN), org="house")


def test_the_only_organisation_needs_no_name_and_is_found_once(between):
    between.answer = Two()
    writer = InfluxWriter(between.url, "-", "ashibar", TOKEN)
    for number in range(3):
        assert writer.write(b"load x=1 %d\n" % number).points == 1
    writer.close()
    written = [query["org"] for _, path, query, _, _ in between.seen if path == "/api/v2/write"]
    assert written == ["-", "0a", "0a", "0a"]


def test_where_no_organisation_is_meant_the_writer_pauses_with_what_to_do(between):
    between.answer = Two(narrow=True)
    writer = InfluxWriter(between.url, "-", "ashibar", TOKEN)
    with pytest.raises(PausedError, match="one organisation, and the token may see none; use one with more"):
        writer.write(b"load x=1 1\n")
    writer.close()


def test_an_unknown_organisation_is_named(between):
    between.answer = fake = Two()
    fake.buckets.append({"name": "ashibar", "id": "b0", "orgID": "0a", "retentionRules": []})
    with pytest.raises(ServerError, match=r"organisation 'elsewhere', came none of.*set \[influx\] org"):
        says(Server(between.url, TOKEN), org="elsewhere")


def test_a_3_core_server_gets_a_database_with_its_retention(between):
    between.answer = fake = Three()
    server = Server(between.url, TOKEN)
    assert says(server, retention_s=YEAR_S) == [
        "found InfluxDB 3.2.1 Core",
        "database ashibar: made, points stay 365 days",
        "InfluxQL needs no mapping: the database has the bucket's name",
    ]
    assert fake.databases == {"ashibar": f"{YEAR_S}s"}
    again = says(server, retention_s=0)
    assert "database ashibar: is there" in again
    assert any("3 Core fixes it" in line for line in again)
    assert between.seen[-1][3]["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_refusal_names_what_to_do_and_not_the_token(between, status):
    fake = Two()

    def answer(method, path, query, body):
        return fake(method, path, query, body) if path == "/ping" else (status, {}, f"bad {TOKEN}".encode())

    between.answer = answer
    with pytest.raises(ServerError, match=str(status)) as caught:
        says(Server(between.url, TOKEN))
    assert TOKEN not in str(caught.value)
    assert caught.value.status == status


def test_a_token_at_the_cut_of_a_long_answer_is_not_shown_in_part(between):
    between.answer = lambda *_: (400, {"X-Influxdb-Version": "v2.8.0"}, b"x" * 295 + TOKEN.encode())
    with pytest.raises(ServerError) as caught:
        Server(between.url, TOKEN).need("GET", "/api/v2/orgs")
    assert TOKEN[:5] not in str(caught.value)
    writer = InfluxWriter(between.url, "house", "ashibar", TOKEN)
    with pytest.raises(RejectedError) as refused:
        writer.post(b"load x=1 1\n")
    writer.close()
    assert TOKEN[:5] not in str(refused.value)


def test_something_that_is_no_influxdb_is_named(between):
    between.answer = lambda *_: (200, {}, b"<html>")
    with pytest.raises(ServerError, match="expected the version of an InfluxDB"):
        Server(between.url, "").kind()
    with pytest.raises(ServerError, match="cannot be reached"):
        Server("http://127.0.0.1:9", "").kind()


def test_durations_are_read_as_they_are_written():
    assert [seconds_of(text) for text in ("0s", "8760h0m0s", "1h30m5s")] == [0, YEAR_S, 5405]
    assert [_seconds(text) for text in (None, "0", "400d", "52w", "12h")] == [
        None, 0, 400 * 86_400, 364 * 86_400, 43_200,
    ]  # fmt: skip


# The commands


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """Write a configuration for a server, and run a command with it."""
    monkeypatch.delenv("ASHIBAR_INFLUX_TOKEN", raising=False)

    def run(*command, url, mqtt=1, bucket="ashibar", org="-"):
        file = tmp_path / "ashibar.toml"
        file.write_text(
            f'[studio]\nname = "studio"\n[mqtt]\nport = {mqtt}\n[journal]\npath = "journal.sqlite"\n'
            f'[influx]\nurl = "{url}"\nbucket = "{bucket}"\norg = "{org}"\n[[rig]]\nname = "room-1"\n'
            '[[rig.cell]]\nhanger = "left-head"\nnode = "bars"\nchannel = 0\n'
            'capacity_kg = 200\nclass = "C3"\n'
        )
        return CliRunner().invoke(main, [*command, "--config", str(file)])

    run.journal = tmp_path / "journal.sqlite"
    return run


def test_doctor_finds_everything_well_where_it_is(configured, influx, mosquitto):
    Journal(configured.journal).close()
    result = configured("doctor", "--json", url=influx.url, mqtt=mosquitto.port, bucket=influx.database)
    checks = {check["name"]: check for check in msgspec.json.decode(result.output)}
    assert all(check["ok"] for check in checks.values()), checks
    assert list(checks) == [
        "journal", "disk", f"broker 127.0.0.1:{mosquitto.port}", "influxdb version", "influxdb clock",
        "influxdb write", "influxdb read",
    ]  # fmt: skip
    assert result.exit_code == 0


def test_doctor_names_each_fault_with_its_remedy(configured, influx, mosquitto):
    mosquitto.stop()
    result = configured("doctor", url=influx.url, mqtt=mosquitto.port, bucket="nowhere")
    assert result.exit_code == 1
    assert "WRONG  broker" in result.output
    assert "ashibar influx init" in result.output
    between = Between(
        "", lambda *_: (204, {"X-Influxdb-Version": "v2.7.6", "Date": "Fri, 01 Jan 2021 00:00:00 GMT"}, b"")
    )
    result = configured("doctor", url=between.url, mqtt=mosquitto.port)
    between.stop()
    assert "WRONG  influxdb clock" in result.output
    assert "NTP" in result.output


def test_init_and_doctor_agree_and_the_tokens_environment_is_used(configured, between, monkeypatch):
    between.answer = Two()
    monkeypatch.setenv("ASHIBAR_INFLUX_TOKEN", TOKEN)
    result = configured("influx", "init", "--retention", "400d", url=between.url, org="house")
    assert result.exit_code == 0, result.output
    assert "points stay 400 days" in result.output
    assert TOKEN not in result.output
    assert between.seen[-1][3]["Authorization"] == f"Token {TOKEN}"


def test_resend_writes_a_span_again_and_doubles_nothing(configured, influx):
    journal = Journal(configured.journal)
    journal.commit(first_batch("room-1"))
    journal.commit(Batch(frames=list(frame_rows(load(20.0)))))
    journal.close()
    span = ("--from", "2026-09-22T00:00:05Z", "--to", "2026-09-22T00:00:15Z")
    assert T0 == 1_790_035_200_000_000
    there = {"url": influx.url, "bucket": influx.database}
    for _ in range(2):
        result = configured("influx", "resend", *span, **there)
        assert result.exit_code == 0, result.output
        assert result.output.startswith("800 points written")
    assert influx.query("SELECT count(index_bars) FROM load")[0]["count"] == 800
    status = configured("influx", "status", "--json", **there)
    found = json.loads(status.output)
    assert (found["newest"], found["behind"], found["cursor"]) == (160, 160, 0)
    assert "not written: 160 frames" in configured("influx", "status", **there).output


def test_a_server_is_set_up_written_and_read_with_one_line_wrong(influx):
    server, bucket = Server(influx.url, ""), influx.another()
    says(server, bucket)
    assert "made" not in " ".join(says(server, bucket)[1:])
    writer = InfluxWriter(influx.url, "-", bucket, "")
    now_us = time.time_ns() // 1000
    body = b"".join(b"load,rig=r x=%d %d\n" % (number, now_us - number) for number in range(1000))
    for _ in range(2):
        written = writer.write(body + b"nonsense\n")
        assert (written.points, [each.line for each in written.rejected]) == (1000, [b"nonsense\n"])
    writer.close()
    row = server.influxql(bucket, "SELECT count(x), sum(x) FROM load")[0]
    assert (row["count"], row["sum"]) == (1000, 499_500)
