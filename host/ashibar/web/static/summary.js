// The figures of a session that has ended, as a short list. The report has all of them.

import { shown } from "./mass.js";

const minutes = (seconds) => `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
const percent = (share) => `${Math.round(share * 100)} %`;

export function showSummary(dialog, session, unit) {
  const figures = session.summary;
  const rows = [
    ["Therapist, client", `${session.therapist}, ${session.client_code}`],
    ["Duration", minutes(figures.duration_s)],
    ["Load on client, greatest (max)", figures.client_max ? shown(figures.client_max.value_n, unit) : "unknown"],
    ["Half of the time up to", figures.percentiles_n["50"] === undefined ? "unknown" : shown(figures.percentiles_n["50"], unit)],
    ["Above the limit", figures.over_limit_s ? range(figures.over_limit_s) : "no limit set"],
    ["In the target band", figures.in_target_s === null ? "no band set" : minutes(figures.in_target_s)],
    ["Incidents, hangs", `${figures.incidents}, ${figures.hangs}`],
    ["Left, right", figures.bar_share.left === undefined ? "unknown" : `${percent(figures.bar_share.left)}, ${percent(figures.bar_share.right)}`],
    ["Samples", `${figures.samples.stored} of ${figures.samples.expected}, ${figures.samples.missing} missing`],
  ];
  const list = dialog.querySelector("dl");
  list.replaceChildren(...rows.flatMap(([name, value]) => [cell("dt", name), cell("dd", value)]));
}

// Unknown time may have been above the limit: then it is a range.
function range([least, most]) {
  return most - least < 0.5 ? minutes(least) : `${minutes(least)} to ${minutes(most)}`;
}

const cell = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
