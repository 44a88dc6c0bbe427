// The gauge: load on the client in percent of body weight, with the studio's band and limit if it has set them.

const TOP = 1.2; // pushing up against the bars loads the client with more than the body weight
const TICKS = [0, 25, 50, 75, 100, 120];

const percent = (fraction) => `${(Math.min(Math.max(fraction / TOP, 0), 1) * 100).toFixed(2)}%`;

export class Gauge {
  constructor(root) {
    this.root = root;
    this.tube = root.querySelector(".tube");
    this.band = root.querySelector(".band");
    this.limit = root.querySelector(".limit");
    this.beyond = root.querySelector(".beyond");
    const list = root.querySelector(".ticks");
    for (const tick of TICKS) {
      const item = document.createElement("li");
      item.textContent = tick;
      item.style.bottom = percent(tick / 100);
      list.append(item);
    }
    this.empty();
  }

  // fraction, doubt: of body weight; limits: {low, high, limit} in fractions, each may be null
  show(fraction, doubt, limits) {
    this.#bounds(limits);
    if (fraction === null) {
      this.empty();
      return;
    }
    const from = Math.max(fraction - doubt, 0);
    this.tube.style.setProperty("--level", percent(fraction));
    this.tube.style.setProperty("--doubt-from", percent(from));
    this.tube.style.setProperty("--doubt-height", percent(Math.min(fraction + doubt, TOP) - from));
    this.beyond.hidden = fraction >= 0 && fraction <= TOP;
    this.beyond.textContent = fraction < 0 ? "▼" : "▲";
    this.beyond.classList.toggle("below", fraction < 0);
    this.root.setAttribute("aria-valuenow", Math.round(fraction * 100));
    this.root.setAttribute("aria-valuetext", `${Math.round(fraction * 100)} % of body weight`);
  }

  empty() {
    for (const name of ["--level", "--doubt-from", "--doubt-height"]) this.tube.style.setProperty(name, "0%");
    this.beyond.hidden = true;
    this.root.removeAttribute("aria-valuenow");
    this.root.setAttribute("aria-valuetext", "no data");
  }

  #bounds(limits) {
    const hasBand = limits?.low != null && limits?.high != null;
    this.band.hidden = !hasBand;
    if (hasBand) {
      this.band.style.setProperty("--from", percent(limits.low));
      this.band.style.setProperty("--height", percent(limits.high - limits.low));
    }
    this.limit.hidden = limits?.limit == null;
    if (!this.limit.hidden) this.limit.style.setProperty("--from", percent(limits.limit));
  }
}
