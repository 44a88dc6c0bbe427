"""The page's buttons and dialogs in a real Chromium, over the daemon, mosquitto and bars in real time."""

import pytest
from ashibar.core.config import check
from ashibar.daemon import Daemon
from nodes import document
from servers import wait_until
from service.bars import Api, Bars


@pytest.fixture
def studio(mosquitto, tmp_path):
    """A daemon with a limit, bars under load, and its API."""
    made = document(mosquitto.port, tmp_path / "journal.sqlite")
    made["session"] = {"required": True, "ask_after_min": 240}
    made["limits"] = {"target_low_percent": 30, "target_high_percent": 60, "client_limit_percent": 80}
    daemon = Daemon(check(made))
    daemon.start()
    assert daemon.link.wait_connected(10)
    daemon.api, daemon.bars = Api(daemon.url), Bars(mosquitto.port)
    wait_until(lambda: (daemon.figure("room-1") or {}).get("bar"), "samples")
    yield daemon
    daemon.bars.stop()
    daemon.stop()


def start_session(page):
    page.click("#start")
    page.fill("#start-dialog [name=therapist]", "Mei")
    page.fill("#start-dialog [name=client_code]", "A-17")
    page.check("#start-dialog [value=scale]")
    page.fill("#start-dialog [name=weight]", "70")
    page.click("#start-dialog button[type=submit]")
    page.wait_for_selector("#start-dialog", state="hidden")


def test_from_the_start_of_a_session_to_its_summary(studio, open_page):
    page = open_page(studio.url)
    page.wait_for_selector("#headline:text('NO SESSION')")
    studio.bars.load_kg = [7, 7, 7, 7]
    start_session(page)
    page.wait_for_selector("body[data-state=shown]")
    assert page.input_value("#start-dialog [name=limit]") == "80"
    assert page.inner_text("#therapist") == "Mei"
    page.wait_for_selector("#elapsed:text('00:00:01')")
    page.wait_for_selector(".limit span")
    studio.bars.load_kg = [1, 1, 1, 1]
    page.wait_for_selector("#alarm[data-key=client-over-limit][data-priority=high]")
    assert "over the limit" in page.inner_text("#alarm-message")
    page.click("#acknowledge")
    page.wait_for_selector("#alarm[data-key=client-over-limit][data-state=acknowledged]")
    alarm = studio.api.alarm("client-over-limit")
    assert (alarm["state"], alarm["by"]) == ("acknowledged", "Mei")
    studio.bars.load_kg = [7, 7, 7, 7]
    page.wait_for_selector("#alarm", state="hidden")
    page.click("#end")
    page.fill("#end-dialog textarea", "calm")
    page.click("#end-dialog button[type=submit]")
    page.wait_for_selector("#summary-dialog[open]", timeout=15_000)
    words = page.inner_text("#summary-dialog")
    assert "Mei, A-17" in words
    assert "0 missing" in words
    page.click("#summary-dialog button")
    page.wait_for_selector("#headline:text('NO SESSION')")
    assert studio.api.get("sessions")[0]["notes"] == "calm"


def test_a_refusal_is_said_in_the_dialog_and_nothing_is_closed(studio, open_page):
    page = open_page(studio.url)
    page.wait_for_selector("#start:enabled")
    page.click("#start")
    page.fill("#start-dialog [name=therapist]", "Mei")
    page.fill("#start-dialog [name=client_code]", "A-17")
    page.check("#start-dialog [value=typed]")
    page.fill("#start-dialog [name=weight]", "700")
    page.click("#start-dialog button[type=submit]")
    page.wait_for_selector("#start-dialog .problem:not(:empty)")
    assert "40 to 150 kg" in page.inner_text("#start-dialog .problem")
    page.fill("#start-dialog [name=weight]", "62")
    page.click("#start-dialog button[type=submit]")
    page.wait_for_selector("#start-dialog", state="hidden")


def test_the_hang_test_guides_to_a_clear_verdict(studio, open_page):
    page = open_page(studio.url)
    page.wait_for_selector("#hang:enabled")
    page.click("#hang")
    page.fill("#name-dialog [name=by]", "Mei")
    page.click("#name-dialog button[type=submit]")
    page.check("#hang-dialog [name=use]")
    page.click("#hang-dialog button[type=submit]")
    page.wait_for_selector("#hang-dialog .say:text('lift both feet clear')")
    studio.bars.load_kg = [15, 15, 16, 16]
    page.wait_for_selector("#hang-dialog .say:text('Hang still')")
    studio.bars.load_kg = [0, 0, 0, 0]
    page.wait_for_selector("#hang-dialog .verdict[data-phase=failed]")
    assert "feet came down" in page.inner_text("#hang-dialog .reason")
    page.click("#hang-dialog .cancel")


@pytest.mark.parametrize("size", [(1280, 800), (1024, 768), (768, 1024), (390, 844)])
def test_whatever_is_touched_is_44_pixels_and_covers_no_figure(studio, open_page, size):
    page = open_page(studio.url, {"width": size[0], "height": size[1]})
    start_session(page)
    page.wait_for_selector("body[data-state=shown]")
    studio.bars.load_kg = [1, 1, 1, 1]
    page.wait_for_selector("#alarm:not([hidden])")
    sizes = page.eval_on_selector_all(
        "button", "all => all.filter(b => b.offsetParent).map(b => [b.id, b.offsetWidth, b.offsetHeight])"
    )
    assert len(sizes) >= 5
    assert [each for each in sizes if min(each[1:]) < 44] == []
    boxes = [page.locator(name).bounding_box() for name in ("#alarm", "#figure .number")]
    assert boxes[0]["y"] >= boxes[1]["y"] + boxes[1]["height"]
    inside = page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    assert inside
