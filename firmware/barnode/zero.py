"""The session zero: when the bars may be zeroed, and why not. The rules of docs/firmware.md.

Counts are integers throughout, newtons appear only where a person asked. The calibration's zero and the
factory's stay as they are: they are others' to change.
"""

NEWTON_PER_KG = 9.80665
STILL_KG = 0.25
PLAIN_KG = 1.0  # more than this from the zero in use must be confirmed
LIMIT_KG = 2.0  # more than this is a load, or a fault to look into
DRIFT_OF_CAPACITY = 0.02  # in all since calibration


def check(request):
    """`{"confirm": true, "unix_s": 1790000000}`, both optional: answers them; ValueError is the refusal."""
    confirm = request.get("confirm", False)
    unix_s = request.get("unix_s")
    if confirm is not True and confirm is not False:
        raise ValueError("confirm: true or false expected, %r came" % (confirm,))
    if unix_s is not None and (
        isinstance(unix_s, bool) or not isinstance(unix_s, (int, float)) or unix_s < 0
    ):
        raise ValueError("unix_s: the time in seconds expected, %r came" % (unix_s,))
    return confirm, unix_s


class Rules:
    """Judges a ZeroWindow; `weight` has calibration and zero in force, `cells` names and capacities in
    newtons."""

    def __init__(self, window, weight, cells):
        self._window = window
        self._weight = weight
        self._cells = cells

    def judge(self, confirm):
        """(counts of the new zero, what each cell read in newtons); ValueError is the refusal."""
        weight = self._weight
        if weight.calibration is None:
            raise ValueError("a calibrated node expected, this one is not: calibrate it first")
        if not self._window.full():
            raise ValueError(
                "5 s of readings of all cells without a fault expected, %d s came: wait and try again"
                % (self._window.held_ms() // 1000)
            )
        spans = [cell["span_n_per_count"] for cell in weight.calibration["cells"]]
        counts = [_mean(self._window.column(cell)) for cell in range(len(self._cells))]
        offsets = [(count - zero) * span for count, zero, span in zip(counts, weight.zeros(), spans)]  # noqa: B905
        self._expect_still(spans)
        self._expect_unloaded(offsets, confirm)
        self._expect_little_drift(counts, spans)
        return counts, offsets

    def _expect_still(self, spans):
        for i, cell in enumerate(self._cells):
            column = self._window.column(i)
            moved_kg = (max(column) - min(column)) * abs(spans[i]) / NEWTON_PER_KG
            if moved_kg > STILL_KG:
                raise ValueError(
                    "%s: still within %.2f kg for 5 s expected, it moved by %.2f kg: keep hands off "
                    "the bars and try again" % (cell["name"], STILL_KG, moved_kg)
                )

    def _expect_unloaded(self, offsets, confirm):
        total = sum(offsets)
        worst = max(range(len(offsets)), key=lambda i: abs(offsets[i]))
        for what, force in (("the bars", total), (self._cells[worst]["name"], offsets[worst])):
            kg = abs(force) / NEWTON_PER_KG
            if kg > LIMIT_KG:
                raise ValueError(
                    "%s: free of load within %d kg expected, %.1f kg came: take everything off; if "
                    "nothing hangs there,"
                    " have the cell checked and recalibrate" % (what, LIMIT_KG, kg)
                )
            if kg > PLAIN_KG and not confirm:
                raise ValueError(
                    "%s: free of load within %d kg expected, %.1f kg came: make sure that nothing "
                    "hangs there, then"
                    " confirm" % (what, PLAIN_KG, kg)
                )

    def _expect_little_drift(self, counts, spans):
        record = self._weight.calibration["cells"]
        for i, cell in enumerate(self._cells):
            if cell["capacity_n"] is None:
                raise ValueError(
                    "%s: its capacity_n expected, none is configured: without it drift has no limit"
                    % cell["name"]
                )
            share = abs((counts[i] - record[i]["zero_count"]) * spans[i]) / cell["capacity_n"]
            if share > DRIFT_OF_CAPACITY:
                raise ValueError(
                    "%s: a drift of at most %d %% of its capacity since calibration expected, %.1f "
                    "%% came: recalibrate" % (cell["name"], DRIFT_OF_CAPACITY * 100, share * 100)
                )


def _mean(column):
    first = column[0]
    return first + sum([count - first for count in column]) // len(column)
