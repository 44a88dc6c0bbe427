"""The way to the broker: TLS with its certificate checked, names looked up afresh, every wait bounded."""

import json
import shutil
import socket
import subprocess

import pytest
from firmware_paths import FIRMWARE
from node_tools import Node, StubHost
from servers import Mosquitto, free_port

EXTENSIONS = "subjectAltName=DNS:localhost,IP:127.0.0.1"


def openssl(*words, folder):
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def make_authority(folder, name):
    """A throw-away authority: NAME.key, NAME.pem and NAME.der."""
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        "req", "-x509", *curve, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj",
        f"/CN={name}", folder=folder,
    )  # fmt: skip
    openssl("x509", "-in", f"{name}.pem", "-outform", "DER", "-out", f"{name}.der", folder=folder)


@pytest.fixture
def certificates(tmp_path):
    """A folder with two authorities and a broker's certificate by the first."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on this machine")
    folder = tmp_path / "certificates"
    folder.mkdir()
    make_authority(folder, "ours")
    make_authority(folder, "theirs")
    openssl(
        "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "broker.key",
        "-out", "broker.csr", "-subj", "/CN=localhost", folder=folder,
    )  # fmt: skip
    (folder / "extensions").write_text(EXTENSIONS)
    openssl(
        "x509", "-req", "-in", "broker.csr", "-CA", "ours.pem", "-CAkey", "ours.key", "-CAcreateserial",
        "-days", "2", "-extfile", "extensions", "-out", "broker.pem", folder=folder,
    )  # fmt: skip
    return folder


@pytest.fixture
def tls_broker(tmp_path, certificates):
    """A broker that asks for TLS and a password on `tls_port`, and for nothing on `port`."""
    port = free_port()
    passwords = certificates / "passwords"
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", passwords, "bars", "secret"], check=True, capture_output=True
    )
    extra = (
        f"per_listener_settings true\nlistener {port} 127.0.0.1\ncafile {certificates}/ours.pem\n"
        f"certfile {certificates}/broker.pem\nkeyfile {certificates}/broker.key\n"
        f"allow_anonymous false\npassword_file {passwords}\n"
    )
    broker = Mosquitto(tmp_path / "mosquitto")
    config = broker.directory / "mosquitto.conf"
    config.write_text("per_listener_settings true\n" + config.read_text() + extra.split("\n", 1)[1])
    broker.tls_port = port
    yield broker.start()
    broker.stop()


@pytest.fixture
def start_node(micropython):
    started = []

    def start(config, **options):
        started.append(Node(micropython, config, **options))
        return started[-1]

    yield start
    for node in started:
        node.kill()


def tls_config(broker, ca_file, **changes):
    given = {"host": "localhost", "port": broker.tls_port, "user": "bars", "password": "secret"}
    return {"studio": "studio", "node": "bars", "broker": {**given, "ca_file": str(ca_file), **changes}}


def test_a_node_delivers_over_tls_with_user_and_password(tls_broker, certificates, start_node):
    host = StubHost(tls_broker.port)
    host.connect()
    try:
        node = start_node(tls_config(tls_broker, certificates / "ours.der"))
        host.wait_until(lambda: len(host.frames) >= 5, 15)
        assert node.stop()["dropped"] == 0
    finally:
        host.close()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("theirs.der", {}), "check broker.ca_file and the broker"),
        (("ours.der", {"password": "wrong"}), "check user and password"),
        (("broker.key", {}), "check broker.ca_file and the broker"),
        (("none.der", {}), "ENOENT"),
    ],
)
def test_a_broker_or_node_that_cannot_prove_itself_is_named(
    tls_broker, certificates, start_node, given, expected
):
    node = start_node(tls_config(tls_broker, certificates / given[0], **given[1]))
    found = node.wait_for_pattern(expected, 15)
    assert found.startswith("link:")


def test_a_server_that_never_answers_the_handshake_is_given_up(tls_broker, certificates, start_node):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = tls_config(tls_broker, certificates / "ours.der", port=silent.getsockname()[1])
        start_node(config).wait_for_line("CONNACK expected within 9 s", 15)


PROBE = """
import asyncio, socket, sys, time
sys.path[:0] = [{virtual!r}, {firmware!r}]
import board
board.install(board.build({{"chips": []}}, 0))
sys.path.insert(0, {virtual!r} + "/chip")
import network
from barnode import net, wifi
{body}
"""


def probe(run_micropython, body):
    code = PROBE.format(virtual=str(FIRMWARE / "virtual"), firmware=str(FIRMWARE), body=body)
    return run_micropython(code).splitlines()


def test_power_save_is_off_and_joining_ends(run_micropython):
    printed = probe(
        run_micropython,
        """
board.current.network_up = False
one = wifi.Wifi("room", "long enough")
one.start()
print(one._wlan.config("pm") == network.WLAN.PM_NONE)
wifi.JOIN_MS = 300
try:
    asyncio.run(one.join())
except OSError as error:
    print(error)
""",
    )
    assert printed[0] == "True"
    assert "not joined within" in printed[1]


def test_the_name_is_looked_up_at_each_connection_and_a_hanging_look_up_is_given_up(run_micropython):
    printed = probe(
        run_micropython,
        """
asked = []
real = socket.getaddrinfo
class Resolver:
    def getaddrinfo(self, host, port):
        asked.append(host)
        if len(asked) > 2:
            time.sleep(2)
        return real("127.0.0.1", port)[0:1]
    def __getattr__(self, name):
        return getattr(socket, name)
net.socket = Resolver()
async def attempt():
    try:
        await net.connect("broker.example", 9, None, 200, 500)
    except OSError as error:
        print(error.errno)
async def main():
    for _ in range(5):
        await attempt()
asyncio.run(main())
print(asked)
""",
    )
    assert printed[0] == printed[1] == "111"
    assert printed[2:5] == ["110"] * 3
    assert (
        json.loads(printed[5].replace("'", '"')) == ["broker.example"] * 3
    )  # a second thread is never begun
