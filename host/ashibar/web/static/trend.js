// The last 60 s of load on the client with its uncertainty band, drawn by uPlot where the host has it.

const SPAN_MS = 60_000;
const GAP_MS = 1000; // points further apart than this are not joined
const NEWTONS = { kg: 9.80665, lb: 4.4482216152605, N: 1 };

export class Trend {
  constructor(root) {
    this.root = root;
    this.points = []; // [utc_ms, client_n | null, u_n | null]
    this.unit = "kg";
    this.weightN = null;
    this.nowMs = 0; // UTC of the newest sample, carried on by the page's clock
    this.plot = null;
    load().then(
      () => this.#start(),
      () => (root.querySelector(".missing").hidden = false),
    );
  }

  add(envelope) {
    if (envelope.kind === "snapshot") this.points = [];
    for (const point of envelope.trend) this.#append(point);
    const oldest = (this.points.at(-1)?.[0] ?? 0) - SPAN_MS - GAP_MS;
    const keep = this.points.findIndex((point) => point[0] >= oldest);
    if (keep > 0) this.points.splice(0, keep);
    const client = envelope.figure.client;
    if (client) this.unit = client.unit;
    if (envelope.figure.body_weight) this.weightN = envelope.figure.body_weight.value_n;
  }

  // newestMs: UTC of now in the host's clock
  draw(newestMs) {
    this.nowMs = newestMs ?? this.nowMs;
    this.plot?.setData(this.#columns());
  }

  #append(point) {
    const last = this.points.at(-1)?.[0] ?? -Infinity;
    if (point[0] <= last) return;
    if (point[0] - last > GAP_MS && this.points.length) this.points.push([last + 1, null, null]);
    this.points.push(point);
  }

  #columns() {
    const scale = this.unit === "%" ? (this.weightN ?? NaN) / 100 : NEWTONS[this.unit] ?? 1;
    const columns = [[], [], [], []];
    for (const [ms, clientN, uN] of this.points) {
      const blank = clientN === null;
      columns[0].push(ms / 1000);
      columns[1].push(blank ? null : (clientN + (uN ?? 0)) / scale);
      columns[2].push(blank ? null : (clientN - (uN ?? 0)) / scale);
      columns[3].push(blank ? null : clientN / scale);
    }
    this.top = this.weightN ? (1.2 * this.weightN) / scale : null;
    return columns;
  }

  #start() {
    const ink = getComputedStyle(document.documentElement);
    const size = () => ({ width: this.root.clientWidth, height: this.root.clientHeight });
    this.plot = new globalThis.uPlot(options(this, (name) => ink.getPropertyValue(name).trim(), size()), [[], [], [], []], this.root);
    // Where an alarm leaves it too little room to be read, its box may have no height at all.
    new ResizeObserver(() => size().height > 0 && this.plot.setSize(size())).observe(this.root);
    this.draw();
  }
}

function options(trend, ink, size) {
  const pixels = parseFloat(getComputedStyle(document.body).fontSize) * 0.85;
  const font = `${pixels}px ${getComputedStyle(document.body).fontFamily}`;
  const axis = { stroke: ink("--faint"), font, grid: { stroke: ink("--line"), width: 1 }, ticks: { show: false } };
  return {
    ...size,
    cursor: { show: false },
    legend: { show: false },
    padding: [pixels * 0.7, pixels * 2.2, 0, 0],
    scales: {
      x: { time: false, range: () => [trend.nowMs / 1000 - SPAN_MS / 1000, trend.nowMs / 1000] },
      y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(trend.top ?? 1, high ?? 1)] },
    },
    axes: [
      { ...axis, size: pixels * 2, splits: (u, i, low, high) => (u.width < pixels * 30 ? [60, 30, 0] : [60, 45, 30, 15, 0]).map((s) => high - s), values: (u, splits) => splits.map((s) => ago(Math.round(splits.at(-1) - s))) },
      { ...axis, size: pixels * 3.6, space: pixels * 3.4, values: (u, splits) => splits.map((s, i) => (i > 0 && i === splits.length - 1 ? `${s} ${trend.unit}` : s)) },
    ],
    bands: [{ series: [1, 2], fill: ink("--trend-doubt") }],
    series: [
      {},
      { stroke: "transparent", points: { show: false } },
      { stroke: "transparent", points: { show: false } },
      { stroke: ink("--trend"), width: 2, points: { show: false } },
    ],
  };
}

const ago = (seconds) => (seconds === 0 ? "now" : `−${seconds} s`);

function load() {
  const style = Object.assign(document.createElement("link"), { rel: "stylesheet", href: "/static/vendor/uPlot.min.css" });
  const script = Object.assign(document.createElement("script"), { src: "/static/vendor/uPlot.iife.min.js" });
  const loaded = new Promise((resolve, reject) => {
    script.onload = resolve;
    script.onerror = reject;
  });
  document.head.append(style, script);
  return loaded;
}
