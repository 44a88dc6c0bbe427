// The figure with its uncertainty, or the words that stand where it would be. Never both.

const SHOWN = new Set(["valid", "motion", "calibration overdue"]);
const HEADLINES = {
  "stale": "NO DATA",
  "fault": "FAULT",
  "no body weight": "NO BODY WEIGHT",
  "not zeroed": "NOT ZEROED",
  "not in session": "NO SESSION",
};
const SILENCE = {
  host: {
    headline: "NO DATA",
    reason: "The display does not hear the host.",
    remedy: "Check that the host is switched on and the network is up. The display comes back by itself.",
  },
  late: {
    headline: "NO DATA",
    reason: "Data arrives too late.",
    remedy: "The network is slow. The display comes back by itself when it recovers.",
  },
  source: {
    headline: "NO DATA",
    reason: "No samples from the bars.",
    remedy: "Check that the box at the bars has power and Wi-Fi. The display comes back by itself.",
  },
};

export const plain = (word) => String(word ?? "").toLowerCase().replaceAll(/[_-]/g, " ");

// May this figure be shown as a number?
export const showable = (figure) => Boolean(figure?.client) && SHOWN.has(plain(figure.validity));

// Before the first load on the bars of a session nobody stands on a client: no limit is exceeded then.
export const overLimit = (figure, limits) =>
  limits?.limit != null && limits.armed !== false && figure.fraction > limits.limit;

// How many digits the whole part can need: the load does not go far beyond the body weight (pushing up).
export function slotsFor(figure) {
  if (!figure.body_weight || figure.client.unit === "%") return 3;
  const perUnit = figure.client.unit === figure.body_weight.unit ? Number(figure.body_weight.text) : NaN;
  return Math.min(Math.max(String(Math.floor(perUnit * 1.1) || 100).length, 2), 4);
}

// The words for a figure that may not be shown: the watchdog's when nothing fresh is heard, else the host's own.
export function wordsFor(figure, verdict) {
  if (verdict === "host" || verdict === "late") return SILENCE[verdict];
  if (!figure || showable(figure)) return SILENCE.source;
  return {
    headline: HEADLINES[plain(figure.validity)] ?? "NO FIGURE",
    reason: sentence(figure.reason || plain(figure.validity)),
    remedy: sentence(figure.remedy ?? ""),
  };
}

export class Figure {
  constructor(root, words) {
    this.whole = root.querySelector(".whole");
    this.decimal = root.querySelector(".decimal");
    this.unit = root.querySelector("#unit");
    this.uncertainty = root.querySelector("#uncertainty");
    this.share = root.querySelector("#share");
    this.manner = root.querySelector("#manner");
    this.words = words;
  }

  show(figure, limits) {
    const [whole, decimal] = figure.client.text.replace("-", "−").split(".");
    put(this.whole, whole);
    put(this.decimal, decimal === undefined ? "" : `.${decimal}`);
    put(this.unit, figure.client.unit);
    put(this.uncertainty, `± ${figure.client.u_text}`);
    put(this.share, shareOf(figure));
    put(this.manner, mannerOf(figure, limits));
  }

  clear(words) {
    for (const part of [this.whole, this.decimal, this.unit, this.uncertainty, this.share, this.manner]) put(part, "");
    for (const [name, text] of Object.entries(words)) put(this.words.querySelector(`#${name}`), text);
  }
}

function shareOf(figure) {
  if (figure.fraction == null) return "";
  return `${Math.round(figure.fraction * 100)} % of body weight`;
}

function mannerOf(figure, limits) {
  const moving = figure.motion || plain(figure.validity) === "motion";
  const words = [
    [overLimit(figure, limits), "over limit"],
    [figure.hands_off, "hands off"],
    [moving, "moving"],
  ];
  return words.filter(([applies]) => applies).map(([, word]) => word).join(", ");
}

function sentence(text) {
  const trimmed = text.trim();
  if (!trimmed) return "";
  const ended = /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
  return ended[0].toUpperCase() + ended.slice(1);
}

// Writing the same text again would make the browser lay the page out again.
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
