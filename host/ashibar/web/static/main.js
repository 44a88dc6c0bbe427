// Puts the live page together: feed in, watchdog asked ten times a second, figure or words out.

import { Controls } from "./controls.js";
import { Feed } from "./feed.js";
import { Figure, overLimit, plain, put, showable, slotsFor, wordsFor } from "./figure.js";
import { Gauge } from "./gauge.js";
import { Hands } from "./hands.js";
import { Trend } from "./trend.js";
import { Watchdog } from "./watchdog.js";

const TICK_MS = 100;
const SLEPT_MS = 1000; // a tick this late: the page or the machine was asleep
const AGE_EVERY_MS = 500; // the age is read, not watched: it need not flicker

const at = (id) => document.getElementById(id);
const body = document.body;
const watchdog = new Watchdog();
const figure = new Figure(at("figure"), at("words"));
const gauge = new Gauge(at("gauge"));
const hands = new Hands(at("hands"));
const trend = new Trend(at("trend"));
const controls = new Controls();
let held = null; // the newest envelope of this connection
let ticked = { monotonicMs: performance.now(), wallMs: Date.now() };
let ageShownMs = -Infinity;

const feed = new Feed({
  rig: new URLSearchParams(location.search).get("rig"),
  onOpen: () => {
    watchdog.forget();
  },
  onEnvelope: (envelope, nowMs) => {
    if (slept()) return wake();
    watchdog.heard(envelope, nowMs);
    if (envelope.kind !== "heartbeat") {
      held = envelope;
      trend.add(envelope);
      controls.hear(envelope, nowMs);
    }
    render(nowMs);
  },
});

function render(nowMs) {
  const verdict = watchdog.verdict(nowMs);
  const shown = verdict === "live" && showable(held?.figure);
  if (shown) show(held.figure, held.limits, nowMs);
  else blank(wordsFor(held?.figure, verdict), verdict);
  body.dataset.state = shown ? "shown" : "blank";
  controls.render(verdict === "live" || verdict === "source" ? held : null, nowMs);
  if (held) {
    put(at("rig"), held.rig);
    document.title = `${held.rig} · ashibar`;
    flags(verdict === "live" || verdict === "source" ? held.figure : null);
  }
  trend.draw(held?.figure.sample_utc_us ? held.figure.sample_utc_us / 1000 + watchdog.ageMs(nowMs) : null);
}

function show(newest, limits, nowMs) {
  const weightN = newest.body_weight?.value_n;
  body.dataset.slots = slotsFor(newest);
  body.toggleAttribute("data-moving", Boolean(newest.motion) || plain(newest.validity) === "motion");
  body.dataset.limit = overLimit(newest, limits) ? "over" : "";
  figure.show(newest, limits);
  gauge.show(newest.fraction ?? null, weightN ? newest.client.u_n / weightN : 0, limits);
  hands.show(newest);
  put(at("live-word"), "live");
  if (nowMs - ageShownMs < AGE_EVERY_MS) return;
  ageShownMs = nowMs;
  put(at("age"), `${(Math.max(watchdog.ageMs(nowMs), 0) / 1000).toFixed(2)} s`);
}

function blank(words, verdict) {
  body.removeAttribute("data-moving");
  body.dataset.limit = "";
  figure.clear(words);
  gauge.empty();
  hands.clear();
  put(at("age"), "");
  put(at("live-word"), verdict === "host" ? "no host" : verdict === "live" ? "no figure" : "no data");
  ageShownMs = -Infinity;
}

// What the page says in large words already is not said again.
function flags(newest) {
  const said = newest?.client ? ["motion"] : ["motion", plain(newest?.validity)];
  const wanted = (newest?.flags ?? []).map(plain).filter((flag) => !said.includes(flag));
  const list = at("flags");
  if (wanted.join() === [...list.children].map((item) => item.textContent).join()) return;
  list.replaceChildren(...wanted.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

// Whether the time since the last tick, on either clock, says that nobody was watching.
function slept() {
  const monotonicMs = performance.now() - ticked.monotonicMs;
  const wallMs = Math.abs(Date.now() - ticked.wallMs);
  return Math.max(monotonicMs, wallMs) > SLEPT_MS;
}

// After a sleep nothing held or queued can be trusted: blank, and begin again with a new connection.
function wake() {
  ticked = { monotonicMs: performance.now(), wallMs: Date.now() };
  held = null;
  feed.open();
  render(performance.now());
}

// A page nobody sees holds no figure that could be seen when it comes back.
function visibility() {
  if (document.visibilityState === "visible") return wake();
  feed.close();
  held = null;
  watchdog.forget();
  render(performance.now());
}

function tick() {
  if (document.visibilityState !== "visible") return;
  if (slept()) return wake();
  ticked = { monotonicMs: performance.now(), wallMs: Date.now() };
  if (watchdog.verdict(performance.now()) === "late") feed.close();
  feed.tend(performance.now());
  render(performance.now());
}

document.addEventListener("visibilitychange", visibility);
window.addEventListener("pageshow", (event) => event.persisted && wake());
document.addEventListener("resume", wake);
setInterval(tick, TICK_MS);
visibility();
