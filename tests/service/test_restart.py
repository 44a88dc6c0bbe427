"""A daemon killed in the middle of a session, and the heads of the log kept elsewhere."""

import json
import signal
import socketserver
import subprocess
import sys
import threading
import time

import pytest
from ashibar.core import chain
from ashibar.core.config import SafetyLogConfig
from ashibar.io.journal import SafetyReader
from ashibar.replay.verify import verify_span
from ashibar.service.heads import HeadKeeper, send_head, write_head
from bars import KG, Api, Bars
from rooms import configuration
from servers import free_port, wait_until

PROGRAM = """
import json, sys
from ashibar.core.config import check
from ashibar.daemon import run
sys.exit(run(check(json.loads(sys.argv[1]))))
"""


class Killable:
    """The daemon in a process of its own."""

    def __init__(self, document):
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps(document)], stdout=subprocess.PIPE, text=True
        )
        self.url = self.process.stdout.readline().split()[-1]
        self.api = Api(self.url)

    def end(self, number):
        self.process.send_signal(number)
        self.process.wait(10)
        self.process.stdout.close()


def stamps_are_final(path):
    reader = SafetyReader(path)
    try:
        return reader.totals()[0] and not reader.boots_with_provisional()
    finally:
        reader.close()


def test_a_session_goes_on_after_a_kill_in_its_middle(mosquitto, tmp_path):
    document = configuration(mosquitto, tmp_path, safety_log={"head_dir": str(tmp_path / "heads")})
    host, bars = Killable(document), Bars(mosquitto.port)
    try:
        wait_until(lambda: host.api.get("figure").get("bar"), "samples")
        wait_until(lambda: stamps_are_final(tmp_path / "journal.sqlite"), "final stamps")
        session = host.api.post(
            "sessions",
            by="Mei",
            therapist="Mei",
            client_code="A-17",
            weight={"value_n": 70 * KG, "source": "scale"},
        )
        bars.load_kg = [7, 7, 7, 7]
        time.sleep(1.5)
        host.end(signal.SIGKILL)
        host = Killable(document)
        current = host.api.get("sessions/current")
        assert (current["phase"], current["session"]) == ("live", session)
        wait_until(lambda: (host.api.get("figure").get("client") or {}).get("value_n"), "the figure")
        assert host.api.get("figure")["client"]["value_n"] == pytest.approx(42 * KG, abs=5)
        bars.resend()
        ended = host.api.post(f"sessions/{session['id']}/end", by="Mei")
        assert ended["started_us"] == session["started_us"]
        summary = wait_until(
            lambda: host.api.get(f"sessions/{session['id']}")["summary"], "the figures", within_s=15
        )
        assert summary["duration_s"] == pytest.approx((ended["ended_us"] - ended["started_us"]) / 1e6)
        assert summary["samples"]["stored"] / summary["samples"]["expected"] > 0.98
        host.end(signal.SIGTERM)
        reader = SafetyReader(tmp_path / "journal.sqlite")
        lines = reader.log_lines()
        span = (ended["started_us"] - 1, ended["ended_us"])
        assert verify_span(reader, "room-1", *span, now_us=time.time_ns() // 1000).differences == ()
        reader.close()
        kinds = [chain.from_line(line).kind for line in lines]
        assert (kinds.count("daemon-started"), kinds.count("daemon-stopped")) == (2, 1)
        files = sorted((tmp_path / "heads").iterdir())
        kept = [json.loads(file.read_text()) for file in files]
        heads = [chain.Head(seq=k["seq"], hash=k["hash"], utc_us=k["utc_us"]) for k in kept]
        assert heads
        assert heads[-1].seq == len(lines) - 1
        assert chain.verify(lines, heads).broken is None
        assert chain.verify(lines[:-1], heads).broken is not None
    finally:
        bars.stop()
        if host.process.poll() is None:
            host.end(signal.SIGKILL)


class Sink(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as it takes to receive a mail."""

    def handle(self):
        self.wfile.write(b"220 sink\r\n")
        lines, reading = [], False
        for raw in self.rfile:
            line = raw.rstrip(b"\r\n")
            if reading and line != b".":
                lines.append(line.decode())
                continue
            word = line.split(b" ")[0].upper()
            if reading:
                reading = False
                self.server.mails.append("\n".join(lines))
            reading = reading or word == b"DATA"
            answers = {b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}
            self.wfile.write(answers.get(word, b"250 ok\r\n"))
            if word == b"QUIT":
                return


@pytest.fixture
def smtp():
    """A mail server on a port of its own; `mails` is what it took."""
    with socketserver.TCPServer(("127.0.0.1", 0), Sink) as server:
        server.mails = []
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def closed_port():
    """A port on which nobody listens."""
    return free_port()


def head(day, seq=3):
    return chain.Head(seq=seq, hash="ab" * 32, utc_us=(20_000 + day) * 86_400_000_000 + 5)


def mail_config(port):
    return SafetyLogConfig(
        mail_to="owner@example.org", mail_from="bars@example.org", smtp_host="127.0.0.1", smtp_port=port
    )


def test_the_head_of_a_day_is_mailed_when_the_day_is_over(smtp):
    keeper = HeadKeeper("quiet-room", mail_config(smtp.server_address[1]))
    keeper.start()
    keeper.stored(head(0))
    keeper.stored(head(1, seq=9))
    wait_until(lambda: smtp.mails, "the mail")
    keeper.stop()
    assert "ab" * 32 in smtp.mails[0]
    assert "entry  3" in smtp.mails[0]
    assert len(smtp.mails) == 1


def test_a_mail_server_that_does_not_answer_is_named_and_nothing_else_stops(closed_port):
    with pytest.raises(OSError, match=r"refused|Connection"):
        send_head(mail_config(closed_port), "quiet-room", head(0))
    keeper = HeadKeeper("quiet-room", mail_config(closed_port))
    keeper.start()
    keeper.stored(head(0))
    keeper.stored(head(1))
    wait_until(lambda: keeper.problem, "the problem in words")
    keeper.stop()
    assert "could not be mailed" in keeper.problem


def test_a_head_file_is_replaced_whole_and_names_its_day(tmp_path):
    path = write_head(tmp_path / "heads", "quiet-room", head(0))
    assert write_head(tmp_path / "heads", "quiet-room", head(0, seq=8)) == path
    assert [file.name for file in path.parent.iterdir()] == ["quiet-room-2024-10-04.json"]
    assert json.loads(path.read_text())["seq"] == 8
