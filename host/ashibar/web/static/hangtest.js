// The hang test as a guided dialog: what to do now, how far it is, and in the end pass or fail and why.

import { put } from "./figure.js";
import { shown, toNewtons } from "./mass.js";

export class HangDialog {
  constructor(dialog, post) {
    this.dialog = dialog;
    this.post = post;
    this.by = "";
    this.unit = "kg";
    this.going = false;
    const form = dialog.querySelector("form");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#begin(form);
    });
    dialog.addEventListener("close", () => this.#leave());
  }

  open(by, unit) {
    this.by = by;
    this.unit = unit;
    this.#phase(false);
    put(this.dialog.querySelector(".problem"), "");
    for (const mark of this.dialog.querySelectorAll(".mass")) put(mark, unit);
    this.dialog.showModal();
  }

  hear(test, unit) {
    if (!this.dialog.open || !this.going || !test) return;
    const over = test.phase === "passed" || test.phase === "failed";
    put(this.dialog.querySelector(".say"), test.say);
    this.dialog.querySelector("progress").value = test.progress;
    const verdict = this.dialog.querySelector(".verdict");
    verdict.dataset.phase = test.phase;
    put(verdict, { passed: "✓ passed", failed: "✗ failed" }[test.phase] ?? "");
    const used = test.used ? ` It is used as your body weight: ${shown(test.median_n, unit)}.` : "";
    put(this.dialog.querySelector(".reason"), over ? test.reason + used : "");
    put(this.dialog.querySelector(".remedy"), over ? test.remedy : "");
  }

  async #begin(form) {
    const scale = toNewtons(form.elements.scale.value.trim(), this.unit);
    try {
      await this.post("hang-test", { by: this.by, therapist: this.by, scale_n: scale, use: form.elements.use.checked });
      put(this.dialog.querySelector(".problem"), "");
      this.#phase(true);
    } catch (refused) {
      put(this.dialog.querySelector(".problem"), refused.message);
    }
  }

  #leave() {
    const phase = this.dialog.querySelector(".verdict").dataset.phase;
    if (this.going && phase !== "passed" && phase !== "failed") this.post("hang-test/cancel", { by: this.by }).catch(() => {});
    this.going = false;
  }

  #phase(going) {
    this.going = going;
    this.dialog.querySelector(".setup").hidden = going;
    this.dialog.querySelector(".running").hidden = !going;
    this.dialog.querySelector("button[type=submit]").hidden = going;
    const verdict = this.dialog.querySelector(".verdict");
    verdict.dataset.phase = "";
    for (const name of [".say", ".verdict", ".reason", ".remedy"]) put(this.dialog.querySelector(name), "");
  }
}
