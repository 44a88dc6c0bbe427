"""The live page in a real Chromium, fed by the real server: a figure when there is one, never an old one."""

import time

import pytest

SHOWN = "() => document.body.dataset.state === 'shown'"
BLANK = "() => document.body.dataset.state !== 'shown'"
TABLET = {"width": 1024, "height": 768}
PHONE = {"width": 390, "height": 844}
DRAWN = "() => document.querySelector('#trend canvas') || !document.querySelector('#trend .missing').hidden"
VISIBLE_DIGITS = "/[0-9]/.test(document.querySelector('main').innerText)"


def show(open_page, served, **options):
    page = open_page(served.url, **options)
    page.wait_for_function(SHOWN)
    return page


def assert_no_number(page):
    """Nothing on the page can be read as a figure: not the number, not the gauge, not the hands."""
    assert not page.evaluate(VISIBLE_DIGITS), page.inner_text("main")
    assert page.inner_text("#value") == ""
    assert not page.is_visible("#gauge .fill")
    assert page.get_attribute("#gauge", "aria-valuenow") is None


def set_visibility(page, state):
    """Return what stands where the figure is at the very moment the page is hidden or seen again."""
    return page.evaluate(
        """state => {
          Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
          return document.getElementById("value").textContent;
        }""",
        state,
    )


def test_the_page_shows_the_figure_its_uncertainty_and_what_it_is(open_page, serve):
    page = show(open_page, serve(client_kg=38.5, weight_kg=68.0))
    assert page.inner_text("#value") == "38.5"
    assert page.inner_text("#unit") == "kg"
    assert page.inner_text("#uncertainty") == "± 1.5"
    assert "on client (max)" in page.inner_text("#figure")
    assert page.inner_text("#share") == "57 % of body weight"
    assert page.get_attribute("#gauge", "aria-valuenow") == "57"
    assert page.inner_text("#rig") == "room-1"
    assert page.inner_text(".hand[data-side=left] .weight") == "17.5 kg"


def test_the_figure_follows_the_load(open_page, serve):
    served = serve(client_kg=38.5)
    page = show(open_page, served)
    served.tell(client_kg=52.0)
    page.wait_for_function("() => document.getElementById('value').textContent === '52.0'", timeout=1000)


@pytest.mark.parametrize("size", [{"width": 1280, "height": 800}, TABLET])
def test_the_digits_take_a_third_of_the_height_even_with_three_before_the_point(open_page, serve, size):
    page = show(open_page, serve(client_kg=102.5, weight_kg=105.0), size=size)
    box = page.locator(".number").bounding_box()
    assert box["height"] * 1.0 >= size["height"] / 3
    assert box["x"] + box["width"] <= size["width"]


@pytest.mark.parametrize(
    "size", [{"width": 1280, "height": 800}, TABLET, {"width": 768, "height": 1024}, PHONE]
)
def test_nothing_scrolls_or_sticks_out(open_page, serve, size):
    page = show(open_page, serve(client_kg=102.5, weight_kg=105.0, flags=["calibration overdue"]), size=size)
    outside = page.evaluate(
        """() => [...document.querySelectorAll("header *, main *")].filter((e) => {
          const box = e.getBoundingClientRect();
          return box.width && (box.right > innerWidth + 1 || box.bottom > innerHeight + 1 || box.left < -1);
        }).map((e) => e.id || e.className || e.tagName)"""
    )
    assert outside == []


def test_when_the_source_stops_the_page_says_no_data_within_1500_ms_and_shows_no_number(open_page, serve):
    served = serve()
    page = show(open_page, served)
    served.tell(running=False)
    page.wait_for_function(BLANK, timeout=1500)
    assert page.inner_text("#headline") == "NO DATA"
    assert page.inner_text("#reason") == "No samples from the bars."
    assert_no_number(page)


def test_when_the_server_is_killed_the_page_still_says_so_by_itself(open_page, serve):
    served = serve()
    page = show(open_page, served)
    served.kill()
    page.wait_for_function(BLANK, timeout=1500)
    page.wait_for_function(
        "() => document.getElementById('reason').textContent.includes('does not hear the host')"
    )
    assert page.inner_text("#headline") == "NO DATA"
    assert_no_number(page)


def test_a_source_that_stops_before_its_server_dies_leaves_no_number_at_any_moment(open_page, serve):
    served = serve()
    page = show(open_page, served)
    served.tell(running=False)
    page.wait_for_function(BLANK, timeout=1500)
    page.evaluate(
        """() => {
          window.seen = [];
          new MutationObserver(() => window.seen.push(document.getElementById("value").textContent))
            .observe(document.body, { subtree: true, childList: true, attributes: true });
        }"""
    )
    served.kill()
    page.wait_for_function(
        "() => document.getElementById('reason').textContent.includes('does not hear the host')"
    )
    assert set(page.evaluate("window.seen")) <= {""}
    assert_no_number(page)


def test_a_server_that_hangs_with_its_connections_open_is_no_data(open_page, serve):
    served = serve()
    page = show(open_page, served)
    served.process.send_signal(19)  # SIGSTOP: the sockets stay open, nothing comes
    try:
        page.wait_for_function(BLANK, timeout=1500)
        assert_no_number(page)
    finally:
        served.process.send_signal(18)
    page.wait_for_function(SHOWN, timeout=5000)


def test_the_figure_comes_back_by_itself_when_samples_do(open_page, serve):
    served = serve()
    page = show(open_page, served)
    served.tell(running=False)
    page.wait_for_function(BLANK)
    served.tell(running=True)
    page.wait_for_function(SHOWN, timeout=1000)


@pytest.mark.parametrize(
    ("validity", "headline", "remedy"),
    [
        ("fault", "FAULT", "Check the plug and cable of this cell."),
        ("no body weight", "NO BODY WEIGHT", "Weigh yourself, or type your weight in."),
        ("not zeroed", "NOT ZEROED", "Take your hands off the bars and press Zero."),
        ("stale", "NO DATA", "Check the power and the network of the bars' box."),
        ("something of tomorrow", "NO FIGURE", ""),
    ],
)
def test_what_is_unknown_shows_no_figure_but_why_and_what_to_do(open_page, serve, validity, headline, remedy):
    page = open_page(serve(validity=validity).url)
    page.wait_for_function(f"() => document.getElementById('headline').textContent === '{headline}'")
    assert page.inner_text("#headline") == headline
    assert page.inner_text("#remedy") == remedy
    assert page.inner_text("#reason") != ""
    assert_no_number(page)


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({"motion": True, "validity": "motion"}, "moving"),
        ({"hands_off": True, "client_kg": 68.0}, "hands off"),
        ({"limits": {"low": 0.3, "high": 0.4, "limit": 0.5}}, "over limit"),
    ],
)
def test_moving_hands_off_and_over_limit_keep_the_figure_and_say_so_in_words(open_page, serve, state, word):
    page = show(open_page, serve(**state))
    assert page.inner_text("#manner") == word
    assert page.inner_text("#value") != ""


def test_band_and_limit_are_drawn_only_if_the_studio_has_set_them(open_page, serve):
    served = serve()
    page = show(open_page, served)
    assert not page.is_visible("#gauge .band")
    assert not page.is_visible("#gauge .limit")
    served.tell(limits={"low": 0.3, "high": 0.6, "limit": 0.9})
    page.wait_for_selector("#gauge .limit")
    assert page.is_visible("#gauge .band")


def test_an_overdue_calibration_is_shown_beside_the_figure(open_page, serve):
    page = show(open_page, serve(validity="calibration overdue", flags=["calibration overdue"]))
    assert "calibration overdue" in page.inner_text("#flags")
    assert page.inner_text("#value") == "38.5"


def test_changing_digits_move_nothing(open_page, serve):
    served = serve(client_kg=11.0, weight_kg=68.0)
    page = show(open_page, served)
    places = []
    for kg, text in ((11.0, "11.0"), (44.5, "44.5"), (8.0, "8.0"), (60.0, "60.0")):
        served.tell(client_kg=kg)
        page.wait_for_function("text => document.getElementById('value').textContent === text", arg=text)
        places.append(page.evaluate(
            "() => ['unit', 'uncertainty', 'share', 'hands', 'trend', 'manner'].map((id) => {"
            "  const box = document.getElementById(id).getBoundingClientRect();"
            "  return [box.left, box.top]; })"
        ))  # fmt: skip
        places[-1].append(round(page.locator(".decimal").bounding_box()["x"], 1))
    assert places == [places[0]] * 4


def test_two_displays_show_the_same(open_page, serve):
    served = serve(client_kg=20.0)
    first, second = show(open_page, served), show(open_page, served)
    served.tell(client_kg=47.5)
    for page in (first, second):
        page.wait_for_function("() => document.getElementById('value').textContent === '47.5'")


def test_a_page_reloads_when_another_server_answers(open_page, serve):
    served = serve(client_kg=20.0)
    page = show(open_page, served)
    page.evaluate("window.loadedBefore = true")
    served.kill()
    page.wait_for_function(BLANK)
    serve(client_kg=30.0, port=served.port)
    page.wait_for_function(
        "() => !window.loadedBefore && document.getElementById('value')?.textContent === '30.0'"
    )


def test_a_hidden_page_holds_no_number_and_shows_a_fresh_one_when_it_is_seen_again(open_page, serve):
    served = serve(client_kg=20.0)
    page = show(open_page, served)
    assert set_visibility(page, "hidden") == ""
    assert_no_number(page)
    served.tell(client_kg=33.0)
    assert set_visibility(page, "visible") == ""
    page.wait_for_function("() => document.getElementById('value').textContent === '33.0'")


def test_a_page_that_was_frozen_while_the_source_stopped_shows_no_old_number(open_page, serve):
    served = serve(client_kg=20.0)
    page = show(open_page, served)
    page.evaluate(
        """() => { window.seen = [];
          setInterval(() => window.seen.push(document.getElementById("value").textContent), 20); }"""
    )
    devtools = page.context.new_cdp_session(page)
    devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
    time.sleep(0.5)  # figures pile up for the sleeping page
    served.tell(running=False)
    time.sleep(1.2)  # and grow old: nothing on the page can be awaited meanwhile
    devtools.send("Page.setWebLifecycleState", {"state": "active"})
    page.evaluate("window.seen = []")
    page.wait_for_function(
        "() => document.getElementById('reason').textContent === 'No samples from the bars.'"
    )
    assert set(page.evaluate("window.seen")) <= {""}
    assert_no_number(page)


def test_the_trend_survives_a_reload(open_page, serve):
    page = show(open_page, serve(history=True, swing_kg=5))
    page.wait_for_selector("#trend canvas")
    assert page.evaluate("document.querySelector('#trend canvas').width") > 200


def test_without_the_chart_library_the_page_says_so_and_still_shows_the_figure(serve, browser):
    served = serve()
    page = browser.new_page()
    page.route("**/vendor/**", lambda route: route.abort())
    page.goto(served.url, wait_until="domcontentloaded")
    page.wait_for_function(SHOWN)
    page.wait_for_selector("#trend .missing")
    assert "ashibar.web.build" in page.inner_text("#trend")
    page.close()


def test_the_page_is_dark_before_any_file_has_come(browser, serve):
    page = browser.new_page()
    page.route("**/static/**", lambda route: route.abort())
    page.goto(serve().url, wait_until="domcontentloaded")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(23, 17, 12)"
    page.close()


def test_the_page_asks_nothing_of_other_hosts(browser, serve):
    served = serve(history=True)
    asked = []
    page = browser.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(served.url, wait_until="domcontentloaded")
    page.wait_for_function(SHOWN)
    page.wait_for_function(DRAWN)
    assert asked
    assert all(url.startswith(served.url) for url in asked)
    page.close()


def test_the_watchdog_calls_only_what_is_fresh_live(open_page, serve):
    """Each case: what was heard as (arrival ms, the page's clock; sending ms, the host's; age s); when."""
    cases = [
        ([], 0, "host"),
        ([(0, 0, 0.1)], 500, "live"),
        ([(0, 0, 0.1)], 1001, "host"),
        ([(0, 0, 1.2)], 0, "source"),
        ([(0, 0, 0.1), (950, 950, 0.1)], 960, "source"),  # the same sample cannot be younger than before
        ([(0, 0, 0.1), (5000, 500, 0.1)], 5001, "late"),
        ([(0, -3_600_000, 0.1)], 10, "live"),  # clocks an hour apart
    ]
    page = open_page(serve().url)
    script = """async ([heard, asked]) => {
      const { Watchdog } = await import("/static/watchdog.js");
      const dog = new Watchdog();
      for (const [now, sent, age] of heard)
        dog.heard({ sent_utc_us: sent * 1000, figure: { age_s: age, sample_utc_us: 1 } }, now);
      return dog.verdict(asked);
    }"""
    assert [page.evaluate(script, [heard, asked]) for heard, asked, _ in cases] == [case[2] for case in cases]


def test_while_the_alarms_catch_up_the_page_says_so_beside_the_figure(open_page, serve):
    served = serve(client_kg=38.5, alarm_level="catching up")
    page = show(open_page, served)
    assert page.inner_text("#alarm-message") == "Alarms are catching up."
    assert not page.is_visible("#acknowledge")
    assert page.inner_text("#value") == "38.5"
    served.tell(alarm_level="none")
    page.wait_for_selector("#alarm", state="hidden")


DESK = {"width": 1280, "height": 800}
STANDING = {"width": 800, "height": 1280}
SESSION = {
    "phase": "live", "session": {"id": "x", "therapist": "Mei", "client_code": "A-17", "started_us": 0},
    "closes_us": None, "unattended_since_us": None, "elapsed_s": 1421.0, "required": False,
}  # fmt: skip
LIMITS = {"low": 0.3, "high": 0.6, "limit": 0.8, "armed": True}
OVER = {
    "key": "client-over-limit", "state": "unacknowledged", "priority": "high", "since_us": 1, "note": "",
    "message": "Load on the client is over the limit", "latched": False,
    "what_to_do": "Take weight on the bars now, step off if need be, and ask the client.",
}  # fmt: skip
PARTS = ("#figure .number", "#hands", ".tube", "#gauge .foot", "#controls")


def boxes(page, names):
    return {name: page.locator(name).bounding_box() for name in names}


@pytest.mark.parametrize("size", [DESK, TABLET, STANDING, PHONE])
def test_a_banner_hides_nothing_and_moves_nothing_but_the_trend(open_page, serve, size):
    served = serve(client_kg=61.5, limits=LIMITS, session=SESSION, history=True)
    page = show(open_page, served, size=size)
    page.wait_for_function(DRAWN)
    before = boxes(page, PARTS)
    served.tell(alarms=[OVER, OVER | {"key": "fall"}])
    page.wait_for_selector("#alarm:not([hidden])")
    assert boxes(page, PARTS) == before
    banner = page.locator("#alarm").bounding_box()
    for name, box in boxes(page, (*PARTS, "#trend", "#acknowledge")).items():
        apart = (
            box["y"] >= banner["y"] + banner["height"]
            or box["y"] + box["height"] <= banner["y"]
            or box["x"] + box["width"] <= banner["x"]
        )
        assert apart or name == "#acknowledge", name
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")


@pytest.mark.parametrize("size", [DESK, TABLET, STANDING, PHONE, {"width": 360, "height": 740}])
def test_all_buttons_stand_in_one_row_with_their_words_in_one_line(open_page, serve, size):
    for session in (SESSION, SESSION | {"session": None}):
        page = show(open_page, serve(session=session), size=size)
        page.wait_for_selector("#end" if session["session"] else "#start")
        found = page.eval_on_selector_all(
            "#controls > button",
            "all => all.filter(b => b.offsetParent).map(b => [b.offsetTop, b.offsetHeight])",
        )
        assert len(found) == 4
        assert len({top for top, _ in found}) == 1
        assert {height for _, height in found} == {max(44, min(height for _, height in found))}


def test_before_the_first_load_of_a_session_hands_off_is_said_and_no_limit_is_exceeded(open_page, serve):
    served = serve(client_kg=68.0, hands_off=True, limits=LIMITS | {"armed": False}, session=SESSION)
    page = show(open_page, served)
    assert page.inner_text("#manner") == "hands off"
    assert page.get_attribute("body", "data-limit") == ""
    served.tell(limits=LIMITS)
    page.wait_for_selector("body[data-limit=over]")
    assert page.inner_text("#manner") == "over limit, hands off"
