// Masses as a person types and reads them; the host is told newtons.

const NEWTONS = { kg: 9.80665, lb: 4.4482216152605, N: 1 };

// The unit a person uses for weights: that of the display, kg where it shows percent.
export const massUnit = (figure) => {
  const unit = (figure?.client ?? figure?.bar ?? figure?.body_weight)?.unit;
  return unit in NEWTONS ? unit : "kg";
};

export function toNewtons(text, unit) {
  const value = Number(text.replace(",", "."));
  return text === "" || !Number.isFinite(value) ? null : value * NEWTONS[unit];
}

export const shown = (newtons, unit) => (newtons == null ? "unknown" : `${(newtons / NEWTONS[unit]).toFixed(1)} ${unit}`);
