// Buttons and dialogs: what a person can do at the page. The host decides; this only asks and shows its answer.

import { get, post } from "./api.js";
import { AlarmBanner } from "./alarms.js";
import { put } from "./figure.js";
import { HangDialog } from "./hangtest.js";
import { massUnit, toNewtons } from "./mass.js";
import { Sound } from "./sound.js";
import { showSummary } from "./summary.js";

const SAID_MS = 8000; // an answer stays long enough to be read
const SUMMARY_TRIES = 15;
const CONFIRM_MS = 30000; // a press that is to confirm what a node asked comes within this

const at = (id) => document.getElementById(id);
const field = (form, name) => form.elements[name].value.trim();

export class Controls {
  constructor() {
    this.rig = null;
    this.session = null;
    this.limits = null;
    this.unit = "kg";
    this.heardMs = 0;
    this.saidMs = -Infinity;
    this.name = ""; // of whoever acted last, for the next question only
    this.answeredAsk = null;
    this.zeroAskedMs = -Infinity; // when a node asked for a zero to be confirmed
    this.sound = new Sound(at("sound"));
    this.banner = new AlarmBanner(at("alarm"), this.sound, (key) => this.#acknowledge(key));
    this.hang = new HangDialog(at("hang-dialog"), (path, content) => this.#post(path, content));
    at("start").addEventListener("click", () => this.#openStart());
    at("end").addEventListener("click", () => open(at("end-dialog")));
    at("zero").addEventListener("click", () => this.#zero());
    at("hang").addEventListener("click", () => this.#hangTest());
    onSubmit(at("start-dialog"), (form) => this.#start(form));
    onSubmit(at("end-dialog"), (form) => this.#end(field(form, "notes")));
    onSubmit(at("ask-dialog"), () => this.#keep());
    at("ask-end").addEventListener("click", () => {
      at("ask-dialog").close();
      open(at("end-dialog"));
    });
    for (const button of document.querySelectorAll("dialog .cancel")) {
      button.addEventListener("click", () => button.closest("dialog").close());
    }
  }

  hear(envelope, nowMs) {
    this.rig = envelope.rig;
    this.session = envelope.session ?? null;
    this.limits = envelope.limits ?? null;
    this.unit = massUnit(envelope.figure);
    this.heardMs = nowMs;
    this.banner.hear(envelope.alarms ?? [], envelope.alarm_level);
    this.hang.hear(envelope.hang_test ?? null, this.unit);
    this.#ask();
  }

  // held is null while the host is not heard: nothing can be asked of it then
  render(held, nowMs) {
    const running = held ? this.session?.session : null;
    for (const id of ["start", "end", "zero", "hang"]) at(id).disabled = !held || !this.session;
    at("start").hidden = Boolean(running);
    at("end").hidden = !running;
    put(at("therapist"), running ? running.therapist : "");
    put(at("elapsed"), running ? clock(this.session.elapsed_s + (nowMs - this.heardMs) / 1000) : "");
    if (nowMs - this.saidMs > SAID_MS) put(at("said"), unattended(this.session, running));
    this.banner.render(held !== null);
  }

  #say(text) {
    this.saidMs = performance.now();
    put(at("said"), text);
  }

  #post(path, content) {
    return post(path, { rig: this.rig, ...content });
  }

  // Whose name goes on record: that of the session's therapist, else asked for.
  async #by() {
    if (this.session?.session) return this.session.session.therapist;
    const dialog = at("name-dialog");
    const form = dialog.querySelector("form");
    form.elements.by.value = this.name;
    open(dialog);
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    if (dialog.returnValue !== "done") return null;
    this.name = field(form, "by");
    return this.name;
  }

  async #openStart() {
    const dialog = at("start-dialog");
    const form = dialog.querySelector("form");
    for (const mark of dialog.querySelectorAll(".mass")) put(mark, this.unit);
    const whole = (share) => (share == null ? "" : String(Math.round(share * 100)));
    form.elements.low.value = whole(this.limits?.low);
    form.elements.high.value = whole(this.limits?.high);
    form.elements.limit.value = whole(this.limits?.limit);
    form.elements.therapist.value = form.elements.therapist.value || this.name;
    form.dataset.confirmed = "";
    open(dialog);
  }

  async #start(form) {
    const source = field(form, "source");
    const share = (name) => (field(form, name) === "" ? null : Number(field(form, name)) / 100);
    const therapist = field(form, "therapist");
    const asked = { by: therapist, therapist, client_code: field(form, "client_code"), target_low: share("low"), target_high: share("high"), client_limit: share("limit") };
    if (source) {
      const value = toNewtons(field(form, "weight"), this.unit);
      if (value === null) throw new Error("Type your weight in, or choose the last one.");
      asked.weight = { value_n: value, source, confirmed: form.dataset.confirmed === field(form, "weight") };
    }
    try {
      await this.#post("sessions", asked);
    } catch (refused) {
      if (refused.confirm) {
        form.dataset.confirmed = field(form, "weight");
        throw new Error(`${refused.message} Press Start once more if it is right.`);
      }
      throw refused;
    }
    this.name = therapist;
    form.elements.client_code.value = "";
    form.elements.weight.value = "";
    this.#say("Session started.");
  }

  async #end(notes) {
    const running = this.session?.session;
    if (!running) throw new Error("No session is running.");
    await this.#post(`sessions/${running.id}/end`, { by: running.therapist, notes });
    at("end-dialog").querySelector("textarea").value = "";
    this.#say("Session ended.");
    this.#summary(running.id);
  }

  async #summary(id) {
    for (let tried = 0; tried < SUMMARY_TRIES; tried += 1) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const session = await get(`sessions/${id}`);
      if (!session.summary) continue;
      showSummary(at("summary-dialog"), session, this.unit);
      open(at("summary-dialog"));
      return;
    }
  }

  #ask() {
    const dialog = at("ask-dialog");
    const asking = this.session?.phase === "asking";
    if (!asking) {
      if (dialog.open) dialog.close();
      this.answeredAsk = null;
      return;
    }
    const left_s = Math.max(0, Math.round(this.session.closes_us / 1e6 - Date.now() / 1000));
    put(at("closes"), `in ${clock(left_s)}`);
    const other = document.querySelector("dialog[open]");
    if (!other && this.answeredAsk !== this.session.closes_us) open(dialog);
  }

  async #keep() {
    this.answeredAsk = this.session.closes_us;
    await this.#post(`sessions/${this.session.session.id}/keep`, { by: this.session.session.therapist });
  }

  async #zero() {
    await this.#try(async () => {
      const by = await this.#by();
      if (by === null) return;
      this.#say("Zeroing ...");
      const told = await this.#zeroed({ by, confirmed: performance.now() - this.zeroAskedMs < CONFIRM_MS });
      this.#say(told.note ? `Zeroed. ${told.note}` : "Zeroed.");
    });
  }

  // What a node wants confirmed is confirmed by pressing once more, knowing what it read.
  async #zeroed(asked) {
    this.zeroAskedMs = -Infinity;
    try {
      return await this.#post("zero", asked);
    } catch (refused) {
      if (!refused.confirm) throw refused;
      this.zeroAskedMs = performance.now();
      throw new Error(`${refused.message} Press Zero once more if nothing hangs there.`);
    }
  }

  async #hangTest() {
    const by = await this.#by();
    if (by !== null) this.hang.open(by, this.unit);
  }

  async #acknowledge(key) {
    await this.#try(async () => {
      const by = await this.#by();
      if (by !== null) await this.#post(`alarms/${encodeURIComponent(key)}/acknowledge`, { by });
    });
  }

  async #try(act) {
    try {
      await act();
    } catch (refused) {
      this.#say(refused.message);
    }
  }
}

function open(dialog) {
  const problem = dialog.querySelector(".problem");
  if (problem) put(problem, "");
  dialog.returnValue = "";
  if (!dialog.open) dialog.showModal();
}

// A dialog closes when what it asked for was done; until then it says why not.
function onSubmit(dialog, act) {
  dialog.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = dialog.querySelector("button[type=submit]");
    button.disabled = true;
    try {
      await act(event.target);
      dialog.close("done");
    } catch (refused) {
      put(dialog.querySelector(".problem"), refused.message);
    } finally {
      button.disabled = false;
    }
  });
}

document.getElementById("name-dialog").querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  event.target.closest("dialog").close("done");
});

function unattended(session, running) {
  return session?.unattended_since_us && !running ? "Used without a session: it is on record." : "";
}

export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  return `${two(Math.floor(whole / 3600))}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}
