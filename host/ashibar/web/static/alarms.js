// The alarm banner: calm, worst first, in words and with a mark of its own shape; a single chime if sound is on.

import { put } from "./figure.js";

const MARKS = { high: "▲", medium: "◆", low: "●" };
const ANSWERABLE = new Set(["unacknowledged", "returned-unacknowledged"]);
const SHOWN = new Set([...ANSWERABLE, "acknowledged"]);

const CATCHING_UP = "catching up";
const BEHIND = {
  key: CATCHING_UP,
  priority: "low",
  state: CATCHING_UP,
  message: "Alarms are catching up",
  what_to_do: "They still look at what was measured while the host was away. Nothing is lost.",
};

// Of low priority only what a hand can change now: dates that are due, and what is over, disturb no session.
// `ashibar alarms` lists them all.
const isNow = (alarm) => alarm.key === "client-near-limit" && alarm.state !== "returned-unacknowledged";

export class AlarmBanner {
  constructor(root, sound, acknowledge) {
    this.root = root;
    this.sound = sound;
    this.alarms = [];
    this.behind = false; // the alarms are still at what was measured while the host was away
    this.chimed = new Map(); // key: when it was raised
    root.querySelector("#acknowledge").addEventListener("click", () => this.alarms[0] && acknowledge(this.alarms[0].key));
  }

  hear(alarms, level) {
    this.behind = level === CATCHING_UP;
    this.alarms = alarms.filter((alarm) => SHOWN.has(alarm.state) && (alarm.priority !== "low" || isNow(alarm)));
    for (const alarm of this.alarms) {
      const isNew = alarm.state === "unacknowledged" && this.chimed.get(alarm.key) !== alarm.since_us;
      if (isNew && alarm.priority === "high") this.sound.chime();
      this.chimed.set(alarm.key, alarm.since_us);
    }
  }

  render(live) {
    const first = !live ? undefined : this.behind ? BEHIND : this.alarms[0];
    this.root.hidden = !first;
    document.body.dataset.alarm = first ? first.priority : "";
    if (!first) return;
    const [name, place] = first.key.split(":");
    this.root.dataset.priority = first.priority;
    this.root.dataset.state = first.state;
    this.root.dataset.key = name;
    put(this.root.querySelector(".mark"), MARKS[first.priority]);
    put(this.root.querySelector("#alarm-message"), `${first.message}${place ? ` (${place})` : ""}.`);
    put(this.root.querySelector("#alarm-do"), first.state === "returned-unacknowledged" ? "It is over." : first.what_to_do);
    put(this.root.querySelector("#alarm-more"), this.alarms.length > 1 && !this.behind ? `${this.alarms.length - 1} more.` : "");
    this.root.querySelector("#acknowledge").hidden = !ANSWERABLE.has(first.state);
  }
}
