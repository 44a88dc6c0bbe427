"""The server over real sockets: REST answers, headers, slow clients, and its end."""

import json
import socket
import time

import httpx
import pytest
from ashibar.web.server import Server


def attach(served, path="/events", receive_bytes=None):
    """Open the feed with a bare socket; a small receive buffer makes a client that is soon full."""
    client = socket.socket()
    if receive_bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.settimeout(5)
    client.connect(("127.0.0.1", served.port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return client


def events(client):
    """Yield the decoded envelopes that come over a bare socket, until it is closed."""
    rest = b""
    while True:
        chunk = client.recv(65536)
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (json.loads(line[6:]) for line in lines if line.startswith(b"data: "))


def test_the_server_ends_within_a_second_with_displays_attached(serve):
    served = serve()
    clients = [attach(served) for _ in range(3)]
    for client in clients:
        next(events(client))
    assert served.stop() < 1.0
    for client in clients:
        assert list(events(client)) is not None  # the stream has an end
        client.close()


def test_the_server_ends_within_a_second_though_a_display_reads_nothing(serve):
    served = serve(history=True)
    with attach(served, receive_bytes=2048):
        time.sleep(2.0)  # the queues fill: a client that does nothing gives no event to await
        assert served.stop() < 1.0


def test_a_display_that_stops_reading_gets_the_newest_and_not_the_backlog(serve):
    served = serve()
    with attach(served, receive_bytes=2048) as client:
        stream = events(client)
        next(stream)
        served.tell(client_kg=20.0)
        time.sleep(6.0)  # 60 figures of about 1 kB against small buffers
        served.tell(client_kg=55.0)
        sent = []
        for message in stream:
            sent.append(message)
            if message["kind"] != "heartbeat" and message["figure"]["client"]["text"] == "55.0":
                break
        figures = [message for message in sent if message["kind"] != "heartbeat"]
        sequence = [message["seq"] for message in figures]
        assert sequence[-1] - sequence[0] > len(sequence)  # figures were skipped
        times = [point[0] for message in figures for point in message["trend"]]
        assert len(times) >= sequence[-1] - sequence[0]  # trend points were not
        assert times == sorted(set(times))


def test_the_feed_says_which_server_and_when(serve):
    served = serve()
    with attach(served, "/events?rig=room-1") as client:
        stream = events(client)
        first, second = next(stream), next(stream)
    assert first["server"] == second["server"]
    assert abs(second["sent_utc_us"] / 1e6 - time.time()) < 5


@pytest.mark.parametrize("path", ["accounting", "rigs", "nodes", "figure?rig=room-1"])
def test_each_address_answers_as_openapi_describes_it(serve, path):
    served = serve()
    answer = httpx.get(f"{served.url}api/v1/{path}")
    assert answer.status_code == 200
    described = httpx.get(f"{served.url}api/v1/openapi.json").json()["paths"]
    schema = described["/api/v1/" + path.split("?")[0]]["get"]["responses"]["200"]["content"][
        "application/json"
    ]["schema"]
    assert schema  # typed, not an empty object
    assert answer.json()


def test_the_accounting_names_each_gap_from_to(serve):
    account = httpx.get(f"{serve().url}api/v1/accounting").json()
    assert (account["samples_taken"], account["samples_stored"], account["missing"]) == (30, 20, 10)
    (gap,) = account["gaps"]
    assert (gap["node"], gap["boot"], gap["from_seq"], gap["to_seq"]) == ("node-1", 7, 1, 1)
    assert (gap["from_index"], gap["to_index"], gap["samples"]) == (10, 19, 10)


def test_readyz_gives_the_reasons_in_words_with_503(serve):
    served = serve()
    assert httpx.get(f"{served.url}readyz").json() == {"ready": True, "reasons": []}
    served.tell(not_ready=["the broker does not answer"])
    answer = httpx.get(f"{served.url}readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "reasons": ["the broker does not answer"]}
    assert httpx.get(f"{served.url}healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("events?rig=nowhere", 404),
        ("api/v1/figure?rig=%00", 422),
        ("api/v1/nothing", 404),
        ("static/../app.py", 404),
    ],
)
def test_a_wrong_request_is_answered_with_what_was_expected_what_came_and_what_to_do(serve, path, status):
    answer = httpx.get(f"{serve().url}{path}")
    assert answer.status_code == status
    assert set(answer.json()) == {"expected", "came", "do"}


def test_a_page_of_an_unknown_rig_lists_those_there_are_and_runs_no_markup_from_the_address(serve):
    answer = httpx.get(f"{serve().url}?rig=<script>alert(1)</script>")
    assert answer.status_code == 404
    assert "/?rig=room-2" in answer.text
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize("path", ["", "readyz", "static/main.js", "api/v1/nothing"])
def test_every_answer_carries_the_security_headers(serve, path):
    headers = httpx.get(f"{serve().url}{path}").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http:" not in policy
    assert "https:" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] in ("no-cache", "no-store")


def test_a_port_that_is_taken_is_refused_with_what_to_do(serve):
    with pytest.raises(OSError, match=r"already in use.*choose another"):
        Server(None, None, port=serve().port)
