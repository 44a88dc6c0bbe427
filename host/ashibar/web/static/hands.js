// The load on each bar, left and right: from 10 % of body weight pushed up to 50 % pulled down.

import { put } from "./figure.js";

const UP = 0.1;
const SPAN = 0.6;

const percent = (part) => `${(Math.min(Math.max(part, 0), 1) * 100).toFixed(2)}%`;

export class Hands {
  constructor(root) {
    this.root = root;
    this.sides = new Map();
    for (const hand of root.querySelectorAll(".hand")) {
      this.sides.set(hand.dataset.side, { bar: hand.querySelector("i"), weight: hand.querySelector(".weight"), hand });
    }
  }

  show(figure) {
    const weightN = figure.body_weight?.value_n;
    for (const [side, parts] of this.sides) {
      const load = figure[side];
      parts.hand.hidden = load == null;
      if (load == null) continue;
      put(parts.weight, `${load.text.replace("-", "−")} ${load.unit}`);
      this.#draw(parts.bar, weightN ? load.value_n / weightN : 0);
    }
  }

  clear() {
    for (const { bar, weight } of this.sides.values()) {
      put(weight, "");
      this.#draw(bar, 0);
    }
  }

  #draw(bar, fraction) {
    bar.style.setProperty("--from", percent((UP + Math.min(fraction, 0)) / SPAN));
    bar.style.setProperty("--width", percent(Math.abs(fraction) / SPAN));
    bar.toggleAttribute("data-up", fraction < 0);
  }
}
