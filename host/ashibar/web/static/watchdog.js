// Decides whether what the page holds may be shown as a number: pure, told the time by its caller.
// It trusts no clock but the page's monotonic one, and no silence: what it has not heard of is not live.

export const STALE_MS = 1000; // the design's limit: an older figure is no figure
const CREEP = 0.001; // how fast the clocks of host and page may part: 1 ms a second

export class Watchdog {
  constructor(staleMs = STALE_MS) {
    this.staleMs = staleMs;
    this.forget();
  }

  // A new connection, or the page was asleep: nothing held before counts.
  forget() {
    this.heardMs = null; // when the last message came
    this.transitMs = null; // the least (arrival - sending) of this connection, in two unlike clocks
    this.sampleUtcUs = null;
    this.takenMs = null; // when the newest sample was taken, on this page's clock
    this.lateMs = 0;
  }

  heard(envelope, nowMs) {
    this.lateMs = this.#late(envelope.sent_utc_us / 1000, nowMs);
    this.heardMs = nowMs;
    const figure = envelope.figure;
    if (!figure || figure.age_s === null || figure.age_s === undefined) return;
    const takenMs = nowMs - this.lateMs - figure.age_s * 1000;
    const same = figure.sample_utc_us === this.sampleUtcUs;
    this.takenMs = same ? Math.min(this.takenMs, takenMs) : takenMs; // a sample never grows younger
    this.sampleUtcUs = figure.sample_utc_us;
  }

  // How much longer than the quickest message this one was on its way (queued in a network or a sleeping page).
  #late(sentMs, nowMs) {
    const transitMs = nowMs - sentMs;
    const crept = this.heardMs === null ? 0 : (nowMs - this.heardMs) * CREEP;
    this.transitMs = this.transitMs === null ? transitMs : Math.min(transitMs, this.transitMs + crept);
    return transitMs - this.transitMs;
  }

  ageMs(nowMs) {
    return this.takenMs === null ? Infinity : nowMs - this.takenMs;
  }

  // "host": nothing comes from the host; "late": it comes too late; "source": the host lives, its samples do not; "live".
  verdict(nowMs) {
    if (this.heardMs === null || nowMs - this.heardMs > this.staleMs) return "host";
    if (this.lateMs > this.staleMs) return "late";
    return this.ageMs(nowMs) > this.staleMs ? "source" : "live";
  }
}
