"""Commands to a whole node over a real broker: done or refused with a reason, and answered once."""

import json
import shutil
import threading
import time

import pytest
from ashibar.node.commander import Commander, Refused
from device_tools import Device, copy_firmware
from servers import wait_until

SHORT_TRIAL = (("set_config.py", "RETURN_MS = const(60000)", "RETURN_MS = const(4000)"),)


class Bench:
    """A node with its commander."""

    def __init__(self, device, commander, broker):
        self.device, self.commander, self.broker = device, commander, broker

    def ask(self, command, within_s=5, **fields):
        return self.commander.ask(command, within_s, **fields)

    def refusal(self, command, **fields):
        with pytest.raises(Refused) as caught:
            self.commander.ask(command, **fields)
        return str(caught.value)

    def about(self, wanted=lambda _: True, within_s=10):
        about = self.commander.about(wanted, within_s)
        assert about is not None, self.device.lines[-20:]
        return about

    def calibration(self):
        return json.loads(self.device.config.read_text())["node"]["calibration"]


@pytest.fixture
def start(micropython, mosquitto, tmp_path):
    """Start a node; `changes` are (file, old text, new text) in its flash."""
    opened = []

    def run(changes=(), **options):
        device = Device(micropython, tmp_path / f"device-{len(opened)}", mosquitto.port, **options)
        for name, old, new in changes:
            path = device.flash / "barnode" / name
            assert old in path.read_text()
            path.write_text(path.read_text().replace(old, new))
        device.__enter__()
        commander = Commander("127.0.0.1", mosquitto.port, "studio", "bars").__enter__()
        opened.append((device, commander))
        device.wait_boots(1)
        bench = Bench(device, commander, mosquitto)
        bench.about()
        return bench

    yield run
    for device, commander in opened:
        commander.__exit__(None, None, None)
        device.__exit__()


def zero_when_possible(bench, **fields):
    """Zero as soon as there are five seconds of readings."""

    def attempt():
        try:
            return bench.ask("zero", **fields)
        except Refused as refused:
            if "came: wait and try again" not in str(refused):
                raise
            time.sleep(0.3)
            return None

    return wait_until(attempt, "a zero", within_s=60)


def test_the_session_zero_is_told_in_about_outlives_a_reset_and_ends_with_a_new_calibration(start):
    bench = start()
    answer = zero_when_possible(bench, unix_s=1_790_000_100)
    about = bench.about(lambda about: about.zeros.session is not None)
    assert about.zeros.session.counts == answer["zero"]["counts"]
    assert about.zeros.calibration == [cell["zero_count"] for cell in bench.calibration()["cells"]]
    bench.ask("reboot")
    bench.device.wait_boots(2)
    again = bench.about(lambda later: later.boot != about.boot)
    assert again.reset_cause == "hard reset"
    assert again.zeros.session.counts == about.zeros.session.counts
    assert (again.zeros.session.unix_s, again.zeros.session.device_us) == (1_790_000_100, None)
    bench.ask("set calibration", calibration=bench.calibration() | {"id": 2})
    assert bench.about(lambda later: later.calibration.id == 2).zeros.session is None


def test_a_calibration_survives_a_wiped_file_system_and_a_power_cut(start):
    bench = start()
    record = bench.calibration() | {"id": 12, "by": "Mei Lin", "unix_s": 1_790_000_200}
    assert bench.ask("set calibration", calibration=record) == {"calibration": 12}
    first = bench.about(lambda about: about.calibration.id == 12)
    shutil.rmtree(bench.device.flash / "barnode")
    copy_firmware(bench.device.flash)
    config = json.loads(bench.device.config.read_text())
    config["node"]["calibration"] = None
    bench.device.config.write_text(json.dumps(config))
    bench.device.cut_power()
    bench.device.wait_boots(2)
    again = bench.about(lambda about: about.boot != first.boot)
    assert again.calibration == first.calibration
    assert (again.calibration.by, again.calibration.unix_s) == ("Mei Lin", 1_790_000_200)


def test_a_node_without_calibration_sends_counts_and_never_a_weight(start):
    bench = start(calibrated=False)
    weights, frames = [], []
    both = threading.Event()

    def take(_client, _data, message):
        if message.topic.endswith("weight"):
            weights.append(json.loads(message.payload))
        elif message.topic.endswith("samples"):
            frames.append(message.payload)
        if len(weights) > 8 and len(frames) > 3:
            both.set()

    bench.commander._client.message_callback_add("ashibar/v1/studio/bars/weight", take)
    bench.commander._client.message_callback_add("ashibar/v1/studio/bars/samples", take)
    bench.commander._client.subscribe(
        [("ashibar/v1/studio/bars/weight", 0), ("ashibar/v1/studio/bars/samples", 0)]
    )
    assert both.wait(10)
    assert bench.about().calibration is None
    assert {frame[24] | frame[25] << 8 for frame in frames} == {0}
    said = {weight["validity"] for weight in weights[4:]}
    assert "uncalibrated" in said
    assert said <= {"uncalibrated", "fault"}  # on a busy machine a chip is read too late now and then
    assert all(weight["sum_n"] is None and set(weight["cells_n"]) == {None} for weight in weights)
    assert "calibrate it first" in bench.refusal("zero")


def test_what_cannot_be_is_refused_with_what_was_expected(start):
    bench = start()
    record = bench.calibration()
    cases = [
        ("fly", {}, "command: one of diagnose, identify,"),
        ("identify", {"loud": True}, "no fields of identify expected, field loud came: remove it"),
        ("zero", {"confirm": "yes"}, "confirm: true or false expected"),
        ("reboot", {"when": 5}, "field when came"),
        ("maintenance", {"on": 1}, "on: true or false expected"),
        ("maintenance", {"on": True, "minutes": 900}, "1 to 120 expected, 900 came"),
        ("set calibration", {"calibration": 7}, "for each of 4 cells expected"),
        ("set calibration", {"calibration": record}, "calibration.id: above 1 expected, 1 came"),
        (
            "set calibration",
            {"calibration": record | {"id": 2, "by": ""}},
            "the name of who calibrated expected",
        ),
        (
            "set calibration",
            {"calibration": record | {"id": 2, "unix_s": 5}},
            "when it was made expected, 5 came",
        ),
        ("set calibration", {"calibration": record | {"id": 2, "x": 1}}, "field x came"),
        ("set config", {"config": {}}, "an object with fields of studio, node"),
        ("set config", {"config": {"adc": 1}}, "field adc came: remove it"),
        ("set config", {"config": {"node": "Bars One"}}, "node: a name of 1 to 32 characters"),
        ("set config", {"config": {"broker": {"host": "b", "port": 0}}}, "broker.port: 1 to 65535 expected"),
    ]
    for command, fields, expected in cases:
        assert expected in bench.refusal(command, **fields), command


def is_loaded(bench):
    try:
        bench.ask("maintenance", on=True)
    except Refused as refused:
        return "nobody may hold on to them" in str(refused)
    return False


def test_nothing_is_kept_while_the_bars_are_loaded(start):
    bench = start(force_n=120)
    wait_until(lambda: is_loaded(bench), "the load to be known", every_s=0.2)
    record = bench.calibration() | {"id": 2}
    assert "nobody may hold on to them" in bench.refusal("set calibration", calibration=record)
    assert "nobody may hold on to them" in bench.refusal("set config", config={"overload": {"sum_n": 900}})


def test_a_command_delivered_twice_is_done_and_answered_once(start):
    bench = start()
    replies = []
    bench.commander._client.message_callback_add(
        "ashibar/v1/studio/bars/reply",
        lambda _c, _d, message: replies.append(json.loads(message.payload)["id"]),
    )
    for name in ("twice", "twice", "after"):
        request = json.dumps({"id": name, "command": "identify"})
        bench.commander._client.publish("ashibar/v1/studio/bars/command", request, 1)
    wait_until(lambda: "after" in replies, "the reply to the last")
    assert replies == ["twice", "after"]


def test_settings_are_kept_once_the_link_has_returned_with_them(start):
    bench = start()
    boot = bench.about().boot
    assert bench.ask("set config", config={"overload": {"sum_n": 900}})["tried_s"] == 60
    bench.device.wait_boots(2)
    bench.about(lambda about: about.boot != boot)
    nvs = bench.device.config.with_name("nvs.json")
    wait_until(
        lambda: "settings-0" in nvs.read_text() and "settings-try-0" not in nvs.read_text(), "the record"
    )


def test_settings_with_which_the_link_does_not_return_are_taken_back(start):
    bench = start(SHORT_TRIAL)
    bench.ask("set config", config={"broker": {"host": "127.0.0.1", "port": 1}})
    bench.device.wait_boots(3, within_s=30)
    about = bench.about(lambda about: bool(about.problems), within_s=15)
    assert "did not bring the link back within 60 s and was taken back" in about.problems[0]
    assert bench.device.said("settings: the link has not returned")


@pytest.mark.alone
def test_diagnose_says_in_words_what_each_cell_is_like(start):
    bench = start([("diagnose.py", "CAPTURE_S = 10", "CAPTURE_S = 4")])
    bench.device.tell(do="fault", fault="wire_off", cell=1, for_s=60)
    bench.device.tell(do="fault", fault="frozen", cell=2, for_s=60)
    bench.device.tell(do="fault", fault="saturated", cell=3, for_s=60)
    time.sleep(5)  # a frozen converter is known for one after 5 s
    found = bench.ask("diagnose", within_s=20)
    assert 250 <= found["samples"] <= 330
    assert found["rate_hz"] == pytest.approx(78.5, abs=4)
    sound, off, frozen, saturated = found["cells"]
    assert (sound["name"], sound["verdict"]) == ("left-head", "sound")
    assert 40 <= sound["noise"] <= 80
    assert sound["mean"] == pytest.approx(bench.calibration()["cells"][0]["zero_count"], abs=10)
    assert off["mean"] is None
    assert 80 <= sound["unique"] <= 400
    assert 100 <= sound["greatest"] - sound["least"] <= 600
    assert off["readings"] == 0
    assert "check its supply" in off["verdict"]
    assert frozen["verdict"] != "sound"
    assert saturated["saturated"] == found["samples"]
    assert "four wires" in saturated["verdict"]
    assert found["verdict"] == "sound"
