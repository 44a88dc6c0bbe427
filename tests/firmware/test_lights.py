"""The strip: each sign tells itself by position, not by colour alone; it is dim and calm."""

import itertools

import pytest
from firmware_paths import import_firmware

import_firmware()

from barnode import alone, lights  # noqa: E402 - importable only from here on

SIGNS = (lights.WAITING, lights.NO_DATA, lights.FAULT, lights.OVERLOAD, lights.TWINS, lights.SAFE)


def painted(sign, n=16, fraction=0.0, band=None, half=0):
    strip = [None] * n
    lights.paint(strip, n, sign, fraction, band, half)
    return strip


def lit(*args, **options):
    """Which pixels are lit: what somebody who sees no colours sees."""
    return tuple(any(pixel) for pixel in painted(*args, **options))


@pytest.mark.parametrize("n", [8, 16, 60])
def test_every_sign_differs_from_every_other_and_from_every_bar_without_colour(n):
    patterns = [{lit(sign, n, half=half) for half in (0, 1)} for sign in SIGNS]
    patterns.append({lit(lights.BAR, n, fraction=k / n) for k in range(1, n + 1)} - {lit(lights.OVERLOAD, n)})
    for one, other in itertools.combinations(patterns, 2):
        assert not one & other


def test_an_overload_moves_and_a_bar_does_not():
    assert lit(lights.OVERLOAD, half=0) != lit(lights.OVERLOAD, half=1)
    assert lit(lights.BAR, fraction=0.5, half=0) == lit(lights.BAR, fraction=0.5, half=1)


def test_the_bar_rises_with_the_load_and_its_edge_is_brighter():
    for fraction, expected in ((0.0, 1), (0.25, 4), (0.5, 8), (1.0, 16), (1.3, 16)):
        strip = painted(lights.BAR, fraction=fraction, band="in")
        assert sum(any(pixel) for pixel in strip) == expected
        assert sum(strip[expected - 1]) >= max(sum(pixel) for pixel in strip)


def test_everything_is_dim():
    for sign, band in itertools.product(range(7), (None, "below", "in", "above", "over")):
        assert max(max(pixel) for pixel in painted(sign, fraction=0.9, band=band)) <= 32


class Recorder:
    """Light, buzzer and overload in one; `shown` and `sounded` are what was asked for."""

    def __init__(self):
        self.shown = []
        self.sounded = []
        self.over = False

    def show(self, sign, half=0, fraction=0.0, band=None):
        self.shown.append((sign, half, fraction, band))

    def sound(self, on):
        self.sounded.append(on)

    def active(self):
        return self.over


@pytest.fixture
def clock(monkeypatch):
    now = {"ms": 100_000}
    monkeypatch.setattr(alone, "now_ms", lambda: now["ms"])
    return now


def watching(recorder, *, faulty=False, twin=None):
    return alone.Alone(recorder, recorder, recorder, lambda: faulty, lambda: twin)


DISPLAY = {"fraction": 0.5, "band": "in", "validity": "valid"}


def test_a_display_is_shown_for_one_second_and_then_there_is_no_data(clock):
    recorder = Recorder()
    one = watching(recorder)
    one.look(clock["ms"])
    one.display(DISPLAY)
    one.look(clock["ms"] + 1000)
    one.look(clock["ms"] + 1001)
    signs = [shown[0] for shown in recorder.shown]
    assert signs == [lights.NO_DATA, lights.BAR, lights.NO_DATA]
    assert recorder.shown[1][2:] == (0.5, "in")


def test_an_old_display_is_not_fresh_again_when_the_counter_wraps(clock):
    recorder = Recorder()
    one = watching(recorder)
    one.display(DISPLAY)
    one.look(clock["ms"] + 7000)
    one.look(clock["ms"] + 100)
    assert [shown[0] for shown in recorder.shown] == [lights.NO_DATA] * 2


@pytest.mark.parametrize(
    ("validity", "sign"),
    [
        ("stale", lights.NO_DATA),
        ("fault", lights.FAULT),
        ("no body weight", lights.WAITING),
        ("not in session", lights.WAITING),
        ("not zeroed", lights.WAITING),
    ],
)
def test_without_a_figure_its_reason_is_shown_and_never_a_bar(clock, validity, sign):
    recorder = Recorder()
    one = watching(recorder)
    one.display({"fraction": None, "band": None, "validity": validity})
    one.look(clock["ms"])
    assert recorder.shown[0][0] == sign


def test_overload_goes_before_all_and_fault_before_the_figure(clock):
    for over, twin, faulty, sign in (
        (True, "twin", True, lights.OVERLOAD),
        (False, "twin", True, lights.TWINS),
        (False, None, True, lights.FAULT),
        (False, None, False, lights.BAR),
    ):
        recorder = Recorder()
        recorder.over = over
        one = watching(recorder, faulty=faulty, twin=twin)
        one.display(DISPLAY)
        one.look(clock["ms"])
        assert recorder.shown[0][0] == sign
        assert recorder.sounded == [over]


def test_nothing_changes_faster_than_3_hz_and_the_buzzer_ends_after_a_minute(clock):
    recorder = Recorder()
    recorder.over = True
    one = watching(recorder)
    for k in range(1400):
        one.look(clock["ms"] + k * alone.LOOK_MS)
    per_second = 1000 // alone.LOOK_MS
    for what in ([shown[1] for shown in recorder.shown], recorder.sounded):
        changes = [a != b for a, b in itertools.pairwise(what)]
        assert max(sum(changes[k : k + per_second]) for k in range(len(changes) - per_second)) <= 3
    assert any(recorder.sounded[:20])
    assert not any(recorder.sounded[60 * per_second :])
