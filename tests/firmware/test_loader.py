"""The loader and the trial on real MicroPython: whatever it finds on the flash, it boots."""

import json

import pytest

SETUP = """
import os, sys, json
import loader
ROOT = sys.argv[1]
def put(path, text):
    with open(ROOT + path, "w") as file:
        file.write(text)
def application(where, text):
    put(where + "/barnode/__init__.py", "")
    for name in ("node", "start"):
        put(where + "/barnode/" + name + ".py", text)
def version(slot, text):
    for path in ("/" + slot, "/" + slot + "/barnode"):
        os.mkdir(ROOT + path)
    application("/" + slot, text)
def boot():
    loader.choose(ROOT)
    return [loader.slot, loader.trial, loader.failed]
"""


@pytest.fixture
def run(run_micropython, tmp_path):
    (tmp_path / "flash").mkdir()
    script = tmp_path / "loader_case.py"

    def run(code):
        script.write_text(SETUP + code)
        return run_micropython(script, args=(tmp_path / "flash",))

    return run


@pytest.mark.parametrize(
    "marker",
    [
        None,
        "",
        "{",
        "[]",
        "null",
        '{"slot": "../x", "boots": null, "before": "", "failed": null}',
        '{"slot": "app_a", "boots": "1", "before": "", "failed": null}',
        '{"slot": "app_a"}',
    ],
)
def test_a_marker_that_cannot_be_read_means_the_version_copied_by_cable(run, marker):
    code = "" if marker is None else f"put('/slot.json', {marker!r})\n"
    assert json.loads(run(code + "print(json.dumps(boot()))")) == ["", False, None]


def test_a_slot_without_an_application_is_given_up(run):
    code = "loader.choose(ROOT)\nloader.switch('app_b')\nprint(json.dumps([boot(), boot()]))"
    assert json.loads(run(code)) == [["", False, "app_b"], ["", False, "app_b"]]


def test_a_confirmed_version_boots_for_ever_and_no_boot_of_it_writes(run):
    code = """
version("app_a", "")
loader.choose(ROOT)
loader.switch("app_a")
boots = [boot()]
loader.confirm()
def no(mark):
    raise OSError(28)
loader.write = no
boots += [boot() for _ in range(5)]
print(json.dumps(boots))
"""
    assert json.loads(run(code)) == [["app_a", True, None]] + [["app_a", False, None]] * 5


def test_a_version_on_trial_whose_boot_cannot_be_counted_is_not_tried(run):
    code = """
version("app_a", "")
loader.choose(ROOT)
loader.switch("app_a")
def full(mark):
    raise OSError(28)
loader.write = full
print(json.dumps([boot(), boot()]))
"""
    assert json.loads(run(code)) == [["", False, "app_a"]] * 2


def test_a_switch_that_was_not_booted_yet_can_be_taken_back(run):
    code = """
version("app_a", "")
version("app_b", "")
loader.choose(ROOT)
loader.switch("app_a")
boot()
loader.confirm()
loader.switch("app_b")
loader.stay()
print(json.dumps(boot()))
"""
    assert json.loads(run(code)) == ["app_a", False, None]


def test_a_trial_is_reset_when_it_fails_when_it_ends_and_by_a_timer_when_it_hangs(run):
    code = """
class Machine:
    class Timer:
        ONE_SHOT = 0
        def __init__(self, id):
            log.append("armed")
        def init(self, mode, period, callback):
            log.append(period)
            self.callback = callback
            timers.append(self)
        def deinit(self):
            log.append("off")
    def reset(self):
        log.append("reset")
log, timers = [], []
sys.modules["machine"] = Machine()
loader.RESTART_AFTER_S = 0
version("app_a", "raise MemoryError()\\n")
version("app_b", "def main():\\n    pass\\n")
loader.choose(ROOT)
loader.switch("app_a")
boot()
loader.start()
loader.choose(ROOT)
sys.path[:] = [path for path in sys.path if "app_a" not in path]
for name in list(sys.modules):
    if name.startswith("barnode"):
        del sys.modules[name]
loader.switch("app_b")
boot()
loader.start()
timers[-1].callback(None)
loader.stand_down()
print(json.dumps(log))
"""
    log = json.loads(run(code).splitlines()[-1])
    assert log == ["armed", 300_000, "reset", "armed", 300_000, "reset", "reset", "off", "off"]


CHIP = """
class Machine:
    kept = b""
    class RTC:
        def memory(self, data=None):
            if data is None:
                return Machine.kept
            Machine.kept = data
    class Timer:
        ONE_SHOT = 0
        def __init__(self, id):
            pass
        def init(self, mode, period, callback):
            pass
    def reset(self):
        log.append("reset")
log = []
sys.modules["machine"] = Machine()
class Time:
    def sleep(self, s):
        log.append(s)
loader.time = Time()
def start():
    for name in list(sys.modules):
        if name.startswith("barnode"):
            del sys.modules[name]
    sys.path[:] = [path for path in sys.path if not path.startswith(ROOT)]
    boots.append(boot())
    loader.start()
boots = []
"""


def test_a_version_copied_by_cable_that_cannot_be_started_notes_why_and_tries_again_for_ever(run):
    code = (
        CHIP
        + """
os.mkdir(ROOT + "/barnode")
application("", "raise ValueError('old')\\n")
for _ in range(5):
    sys.path.insert(0, ROOT)
    boot()
    for name in list(sys.modules):
        if name.startswith("barnode"):
            del sys.modules[name]
    loader.start()
print(json.dumps([log, json.loads(Machine.kept), boot()]))
"""
    )
    log, notes, boot = json.loads(run(code).splitlines()[-1])
    assert log == [3, "reset"] * 5
    assert notes["error"].endswith("ValueError: old")
    assert boot == ["", False, None]


def test_a_confirmed_version_that_cannot_be_started_any_more_is_given_up_for_the_one_copied_by_cable(run):
    code = (
        CHIP
        + """
Machine.kept = b'{"zero": 7}'
version("app_a", "from nowhere import nothing\\n")
loader.choose(ROOT)
loader.write({"slot": "app_a", "boots": None, "before": "", "failed": None})
for _ in range(3):
    start()
print(json.dumps([log, boots, json.loads(Machine.kept), boot()]))
"""
    )
    log, boots, notes, after = json.loads(run(code).splitlines()[-1])
    assert log == [3, "reset"] * 3
    assert boots == [["app_a", False, None]] * 3
    assert "nowhere" in notes["error"]
    assert notes["zero"] == 7
    assert after == ["", False, "app_a"]


def test_a_version_on_trial_without_its_start_is_given_up_before_it_is_tried(run):
    code = """
version("app_a", "")
os.remove(ROOT + "/app_a/barnode/start.py")
loader.choose(ROOT)
loader.switch("app_a")
print(json.dumps(boot()))
"""
    assert json.loads(run(code)) == ["", False, "app_a"]


TRIAL = """
import asyncio
from barnode import trial
class Loader:
    trial = True
    def stand_down(self): log.append("watched")
    def confirm(self):
        log.append("confirmed")
        self.trial = False
    def reset(self):
        log.append("reset")
        raise SystemExit
log, now, taken, state = [], [0], [0], {"connected": True, "loaded": None, "sampling": True}
async def tick(ms):
    now[0] += ms
    taken[0] += state["sampling"]
    if now[0] in plan:
        state.update(plan[now[0]])
    if now[0] > 200000:
        raise SystemExit
asyncio.sleep_ms = tick
trial.now_ms = lambda: now[0]
loader = Loader()
def decide():
    def connected(): return state["connected"]
    def loaded(): return state["loaded"]
    one = trial.Trial(loader, 30, connected, lambda: taken[0], loaded, lambda: sys.exit())
    try:
        one.run().send(None)
    except (SystemExit, StopIteration):
        pass
    print(json.dumps([log, now[0] // 1000]))
"""


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ({}, [["watched", "confirmed"], 30]),
        ({20_000: {"connected": False}, 40_000: {"connected": True}}, [["watched", "confirmed"], 69]),
        ({500: {"connected": False}}, [["watched", "reset"], 120]),
        ({500: {"sampling": False}}, [["watched", "reset"], 120]),
        ({500: {"loaded": "yes"}, 150_000: {"loaded": None}}, [["watched", "confirmed"], 150]),
    ],
)
def test_a_version_is_confirmed_after_30_s_of_health_and_never_while_the_bars_are_loaded(run, plan, expected):
    log, after_s = json.loads(run(TRIAL + f"plan = {plan!r}\ndecide()").splitlines()[-1])
    assert log == expected[0]
    assert abs(after_s - expected[1]) <= 1
