"""The whole chain as a person starts it: nothing lost, quick, right, and gone afterwards."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from ashibar.core.trace import Trace
from servers import need, wait_until

ROOT = Path(__file__).parents[2]
ASHIBAR = [sys.executable, "-c", "from ashibar.cli import main; main()"]
ARGUMENTS = ["demo", "--json", "--no-browser", "--port", "0"]
pytestmark = pytest.mark.timeout(180)


def demo(*arguments, seconds):
    """Run a demo to its end and return its JSON, the last line it printed."""
    done = subprocess.run(
        [*ASHIBAR, *ARGUMENTS, "--seconds", str(seconds), *arguments],
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def children_of(pid):
    """Every process below one, by id."""
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                todo += (below := [int(word) for word in task.read_text().split()])
                found += below
    return found


def alive(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


@pytest.fixture
def running(tmp_path):
    """A demo without an end, once its page is there: the process, its lines so far, the page's address."""
    process = subprocess.Popen(
        [*ASHIBAR, *ARGUMENTS], stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(tmp_path)}
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("playing"):
            break
    yield process, lines, lines[0].split()[1]
    process.kill()
    process.wait()
    process.stdout.close()


def write_trace(path, times_s, forces_n):
    header = ",".join(["t_s", *(f"cell_{cell}_n" for cell in range(forces_n.shape[1]))])
    np.savetxt(
        path, np.column_stack([times_s, forces_n]), delimiter=",", header=header, comments="", fmt="%.6f"
    )
    return path


def ideal_peaks_n(times_s, total_n):
    """Peaks that a block mean at 80 samples a second keeps of a recording, at eight phases of its clock."""
    trace = Trace(times_s, total_n[:, None], ("0",))
    ends = np.arange(times_s[0] + 0.025, times_s[-1] - 0.0125, 0.0125)
    shifts = np.arange(8) / 8 * 0.0125
    return [float(trace.mean_over(ends + shift - 0.0125, ends + shift).max()) for shift in shifts]


@pytest.mark.alone
def test_half_a_minute_of_the_built_in_session_loses_nothing_and_is_quick_and_right():
    need("mosquitto", "micropython")
    shown = demo(seconds=30)
    assert shown["missing"] == 0
    assert shown["duplicates"] == 0
    assert shown["samples_sent"] == shown["samples_stored"] >= 30 * 40  # on a busy machine the board lags
    assert shown["latency_ms"]["p99"] <= 200
    assert shown["latency_samples"] >= 0.9 * shown["samples_sent"]
    assert shown["figures_quiet"] >= 20
    assert shown["client_load_error_n"]["p95"] <= 5
    assert shown["stored_error_n"]["p95"] <= 5
    assert shown["firmware_runtime"].startswith("micropython")
    assert shown["broker"].startswith("mosquitto")


@pytest.mark.alone
@pytest.mark.parametrize("recording", ["kistler", "jump"])
def test_the_peak_of_a_recording_is_stored_as_an_ideal_block_mean_would_keep_it(
    recording, recordings, tmp_path
):
    need("mosquitto", "micropython")
    plates = recordings / "force_plates"
    if recording == "kistler":
        table = np.loadtxt(plates / "kistler_fp_data.txt", skiprows=1)
        times_s, forces_n = table[:, 0], 1000 * table[:, 5:9] / [3.898, 3.889, 3.885, 3.891]
    else:
        table = np.loadtxt(plates / "jump1.txt", skiprows=1)
        times_s, forces_n = table[:, 0], np.outer(table[:, 1], [0.3, 0.2, 0.3, 0.2])
    trace = write_trace(tmp_path / "trace.csv", times_s, forces_n)
    played = times_s < 8.5
    peaks = ideal_peaks_n(times_s[played], forces_n[played].sum(axis=1))
    for _ in range(3):  # a board read late on a busy machine misses the one conversion of the peak
        shown = demo("--trace", str(trace), seconds=9)
        assert shown["missing"] == shown["duplicates"] == 0
        assert shown["stored_peak_n"] <= 1.06 * max(peaks)
        if shown["stored_peak_n"] >= 0.94 * min(peaks):
            return
    pytest.fail(f"a peak of at least {min(peaks):.0f} N expected, came {shown['stored_peak_n']} N")


def test_without_mosquitto_and_micropython_the_chain_runs_all_the_same():
    shown = demo("--runtime", "cpython", "--broker", "amqtt", seconds=10)
    assert shown["firmware_runtime"].startswith("cpython")
    assert shown["broker"].startswith("amqtt")
    assert shown["missing"] == shown["duplicates"] == 0
    assert shown["samples_sent"] >= 10 * 40


def test_a_trace_of_one_cell_is_a_rig_of_one_hanger(tmp_path):
    trace = write_trace(tmp_path / "one.csv", np.array([0.0, 1.0, 20.0]), np.array([[0.0], [100.0], [100.0]]))
    shown = demo("--trace", str(trace), "--data", str(tmp_path / "kept"), seconds=5)
    assert shown["missing"] == 0
    assert shown["stored_peak_n"] == pytest.approx(100, abs=2)
    assert (tmp_path / "kept" / "journal.sqlite").exists()


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupt_ends_all_of_it_within_two_seconds(running, number, tmp_path):
    process, _, url = running
    wait_until(lambda: figure_shown(url), "a figure on the page")
    children = children_of(process.pid)
    assert len(children) >= 1
    began = time.monotonic()
    process.send_signal(number)
    last = process.stdout.read().splitlines()[-1]
    process.wait(10)
    took_s = time.monotonic() - began
    assert process.returncode == 0
    assert took_s <= 2
    assert [pid for pid in children if alive(pid)] == []
    assert list(tmp_path.glob("ashibar-demo-*")) == []
    told = json.loads(last)
    unknown = told["samples_sent"] is None  # a node on a busy machine did not say so within the two seconds
    assert told["missing"] == (None if unknown else 0)


def test_a_demo_that_is_killed_leaves_no_process_behind(running):
    process, _, _ = running
    children = children_of(process.pid)
    process.kill()
    process.wait()
    wait_until(lambda: not any(alive(pid) for pid in children), "its children to end", within_s=10)


def figure_shown(url):
    with urllib.request.urlopen(url + "api/v1/figure", timeout=5) as answer:
        return json.load(answer).get("client")


def test_a_trace_with_a_missing_column_is_refused_in_words(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text("t_s,cell_0_n,cell_2_n\n0,1,2\n")
    done = subprocess.run(
        [*ASHIBAR, *ARGUMENTS, "--trace", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "cell_1_n" in done.stderr
    assert "Traceback" not in done.stderr


def test_simulated_nodes_play_a_trace_against_any_broker(mosquitto, tmp_path):
    need("micropython")
    trace = write_trace(tmp_path / "trace.csv", np.array([0.0, 1.0]), np.array([[0.0, 1.0], [2.0, 3.0]]))
    arguments = ["simulate", "--trace", str(trace), "--broker", f"127.0.0.1:{mosquitto.port}"]
    done = subprocess.run(
        [*ASHIBAR, *arguments, "--nodes", "2", "--seconds", "2"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("bars-1", "bars-2"):
        assert f"{name}: boot" in done.stdout
        assert f"{name}: " in done.stdout.splitlines()[-1 if name == "bars-2" else -2]
