"""Updates over the air: a real node on the virtual board, a real broker, the host's own sender."""

import base64
import json
import re
from contextlib import contextmanager

import pytest
from ashibar.cli import main
from ashibar.node import application, update
from ashibar.node.commander import Commander, NoReply, Refused
from click.testing import CliRunner
from device_tools import Device, copy_firmware
from servers import wait_until

OLD = "0.1.0"


@pytest.fixture
def device(micropython, mosquitto, tmp_path):
    with Device(micropython, tmp_path / "device", mosquitto.port) as device:
        device.wait_boots(1)
        yield device


@contextmanager
def commanding(mosquitto):
    with Commander("127.0.0.1", mosquitto.port, "studio", "bars") as commander:
        assert commander.about(lambda _: True, 10)
        yield commander


def new_version(tmp_path, version, **files):
    return application.read(copy_firmware(tmp_path / version, version, files=files))


def test_a_node_is_updated_and_says_so(device, mosquitto, tmp_path):
    first = new_version(tmp_path, "0.2.0")
    with commanding(mosquitto) as commander:
        assert commander.about(lambda _: True, 1).firmware == OLD
        outcome = update.update(commander, first)
        assert outcome.updated, (outcome.text, device.lines[-20:])
        about = commander.about(lambda about: about.firmware == "0.2.0", 5)
        assert about.manifest == first.digest
        assert (about.update.slot, about.update.on_trial) == ("app_a", False)
        again = update.update(commander, first)
        assert again.text == "bars runs 0.2.0 already"
        folder = copy_firmware(tmp_path / "0.3.0", "0.3.0")
        options = ["--from", str(folder), "--broker", mosquitto.address, "--studio", "studio", "--sources"]
        said = CliRunner().invoke(main, ["node", "update", "bars", *options])
        assert (said.exit_code, said.output.splitlines()[-1]) == (0, "bars runs 0.3.0"), said.output
        about = commander.about(lambda about: about.firmware == "0.3.0", 5)
        assert about.update.slot == "app_b"
    assert len(device.boots) == 3


def test_a_version_that_fails_at_its_import_returns_to_the_old_one(device, mosquitto, tmp_path):
    broken = new_version(tmp_path, "0.2.0", **{"sampler.py": "", "node.py": "raise ValueError('no use')\n"})
    with commanding(mosquitto) as commander:
        outcome = update.update(commander, broken, verdict_within_s=40)
        assert not outcome.updated
        assert outcome.text == f"bars has returned to {OLD}: 0.2.0 did not become healthy on it"
        about = commander.about(lambda _: True, 1)
        assert (about.update.slot, about.update.failed) == ("", "0.2.0")
    assert len(device.said("no use")) == 2  # it was given two boots


def test_a_version_that_runs_but_never_connects_returns_to_the_old_one(device, mosquitto, tmp_path):
    deaf = (
        (device.flash / "barnode" / "wifi.py")
        .read_text()
        .replace(
            "async def join(self):",
            "async def join(self):\n        raise OSError('deaf')\n\n    async def joined(self):",
        )
    )
    with commanding(mosquitto) as commander:
        outcome = update.update(
            commander, new_version(tmp_path, "0.2.0", **{"wifi.py": deaf}), verdict_within_s=60
        )
        assert outcome.text == f"bars has returned to {OLD}: 0.2.0 did not become healthy on it"
    assert len(device.said("not healthy within")) == 2


def test_an_update_broken_off_goes_on_where_it_was(device, mosquitto, tmp_path):
    new = new_version(tmp_path, "0.2.0")
    sent = []

    class CutError(Exception):
        pass

    def cut(done, total):
        sent.append(done)
        if done > total // 2:
            raise CutError

    with commanding(mosquitto) as commander:
        with pytest.raises(CutError):
            update.update(commander, new, progress=cut)
        boot = commander.about(lambda _: True, 1).boot
        device.cut_power()
        device.wait_boots(2)
        about = commander.about(lambda about: about.boot != boot, 10)
        assert about.firmware == OLD
        resumed = []
        assert update.update(commander, new, progress=lambda done, _: resumed.append(done)).updated
        assert resumed[0] >= sent[-1]


@pytest.mark.usefixtures("device")
def test_nothing_is_written_without_maintenance(mosquitto):
    with commanding(mosquitto) as commander:
        with pytest.raises(Refused, match="maintenance expected, it is off"):
            commander.ask("update", step="begin", manifest="0" * 64)
        commander.ask("maintenance", on=True)
        commander.ask("update", step="begin", manifest="0" * 64)
        commander.ask("maintenance", on=False)
        with pytest.raises(Refused, match="maintenance expected, it is off"):
            commander.ask("update", step="have", path="manifest.txt")


@pytest.mark.usefixtures("device")
def test_nothing_is_written_while_a_session_is_live(mosquitto):
    with commanding(mosquitto) as commander:
        commander.ask("maintenance", on=True)
        display = {
            "server": "0f3a",
            "fraction": 0.5,
            "band": "in",
            "alarm": "none",
            "validity": "valid",
            "age_s": 0.1,
        }
        commander._client.publish("ashibar/v1/studio/bars/display", json.dumps(display))
        with pytest.raises(Refused, match="without a session expected"):
            commander.ask("update", step="begin", manifest="0" * 64)
        display["validity"] = "not in session"
        commander._client.publish("ashibar/v1/studio/bars/display", json.dumps(display))
        commander.ask("update", step="begin", manifest="0" * 64)


def test_nothing_is_written_while_the_bars_are_loaded(micropython, mosquitto, tmp_path):
    with Device(micropython, tmp_path / "device", mosquitto.port, force_n=120) as device:
        device.wait_boots(1)
        with commanding(mosquitto) as commander:
            reason = wait_until(lambda: refusal(commander), "the first measurement")
            assert re.search(r"bars free of load expected, 1[12]\d N measured", reason)


def refusal(commander):
    try:
        commander.ask("maintenance", on=True)
    except Refused as refused:
        return str(refused)
    return None


@pytest.mark.usefixtures("device")
def test_a_step_that_cannot_be_is_refused_with_its_reason(mosquitto):
    requests = {
        "step: begin, have, put or finish expected": {"step": "fetch"},
        "SHA-256 in hex expected": {"step": "begin", "manifest": "abc"},
        "begin expected first": {"step": "put", "path": "barnode/node.py", "at": 0, "data": "QQ=="},
        "begin expected first: ": {"step": "finish"},
    }
    with commanding(mosquitto) as commander:
        commander.ask("maintenance", on=True)
        for reason, request in requests.items():
            with pytest.raises(Refused, match=reason):
                commander.ask("update", **request)


def test_what_is_sent_is_checked_before_it_counts(device, mosquitto, tmp_path):
    new = new_version(tmp_path, "0.2.0")
    wrong = base64.b64encode(b"x" * 100).decode()
    with commanding(mosquitto) as commander:
        commander.ask("maintenance", on=True)
        commander.ask("update", step="begin", manifest=new.digest)
        commander.ask("update", step="put", path="manifest.txt", at=0, data=wrong)
        with pytest.raises(Refused, match="does not have the hash announced"):
            commander.ask("update", step="have", path="barnode/node.py")
        for at in range(0, len(new.manifest), 768):
            part = base64.b64encode(new.manifest[at : at + 768]).decode()
            commander.ask("update", step="put", path="manifest.txt", at=at, data=part)
        for path in ("../config.json", "/config.json", "barnode/../../x", "config.json", "barnode/none.py"):
            with pytest.raises(Refused, match="a file of the manifest expected"):
                commander.ask("update", step="put", path=path, at=0, data=wrong)
        with pytest.raises(Refused, match="at: 0 expected, 5 came"):
            commander.ask("update", step="put", path="barnode/node.py", at=5, data=wrong)
        with pytest.raises(Refused, match="not as listed"):
            commander.ask("update", 20, step="finish")
    assert not (device.flash / "slot.json").exists()


def test_silence_is_told_from_refusal(mosquitto):
    with (
        Commander("127.0.0.1", mosquitto.port, "studio", "nobody") as commander,
        pytest.raises(NoReply, match=r"a reply to identify expected within 0\.2 s"),
    ):
        commander.ask("identify", 0.2)
