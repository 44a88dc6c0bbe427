"""The node's own force figures a few times a second, for people and displays. Per sample it adds integers
only; newtons appear in the report. The record is the frames, never this."""

from array import array

from micropython import const

_READING_MIN = const(-0x800000)
_SUM_LIMIT = const(64)  # samples of one interval: 64 x 2**23 is still a small int on the chip
_KNOWN_INTERVALS = const(8)  # of 250 ms: a read that failed does not make the bars free of load
_WEIGHT_BITS = const(10)  # resolution of a cell's share in the sum: 0.1 %


class Weight:
    """Means per cell and least and greatest sum of an interval.

    `calibration` is the record of the configuration or None; `boot` is the boot id. For the least and
    greatest sum, counts are weighted by each cell's span against the largest one, in integers cut to a step
    of less than 0.1 N on a 200 kg cell, because a float costs memory on the chip for every sample.
    """

    def __init__(self, cells, boot, calibration=None):
        self._cells = cells
        self._boot = boot
        self.calibration = calibration
        self._zero = array("i", [0] * cells)
        self._weight = array("i", [0] * cells)
        self._sums = array("i", [0] * cells)
        self._faults = bytearray(cells)
        self.unit_n = 0.0  # of `total`
        self.means = array("i", [0] * cells)  # counts of the last interval reported, where `whole`
        self.whole = False  # whether every cell was readable in all of it
        self.faulty = False  # whether one was not
        # 24 bits of count and sign, the weight and the number of cells must fit 30 bits together
        spare = 0
        while (1 << spare) < cells:
            spare += 1
        self._shift = 24 + _WEIGHT_BITS + spare - 29
        self.total = 0  # all cells of the sample last taken, in `unit_n`; codes count as nothing
        self.use_calibration(calibration)
        self.sum_n = None  # of the last interval reported; None: not known
        self.known_n = None  # the same of the cells that could be read then or just before; None: of none
        self._unknown = 0  # intervals since then
        self._n = 0
        self._least = 0
        self._greatest = 0

    def use_calibration(self, record):
        """Put a calibration in force, or None, and its zero."""
        self.calibration = record
        self._restart()
        if not record:
            return
        cells = record["cells"]
        largest = max(abs(cell["span_n_per_count"]) for cell in cells)
        for i, cell in enumerate(cells):
            self._zero[i] = cell["zero_count"]
            self._weight[i] = round(cell["span_n_per_count"] / largest * (1 << _WEIGHT_BITS))
        self.unit_n = largest * (1 << self._shift) / (1 << _WEIGHT_BITS)

    def use_zero(self, counts):
        """Put a session zero in force: a count a cell."""
        for i in range(self._cells):
            self._zero[i] = counts[i]
        self._restart()

    def zeros(self):
        """The zero in force, a count a cell."""
        return list(self._zero)

    def take(self, counts):
        """Add one sample, indexable by cell. No allocation."""
        total = 0
        room = self._n < _SUM_LIMIT
        shift = self._shift
        for cell in range(self._cells):
            count = counts[cell]
            if count < _READING_MIN:
                self._faults[cell] = 1
                continue
            if room:
                self._sums[cell] += count
            total += ((count - self._zero[cell]) >> shift) * self._weight[cell]
        self.total = total
        if not room:
            return
        if self._n == 0 or total < self._least:
            self._least = total
        if self._n == 0 or total > self._greatest:
            self._greatest = total
        self._n += 1

    def readable(self):
        """Whether every cell was so far in the interval under way."""
        return not any(self._faults)

    def report(self, index):
        """The `weight` payload, and a new interval. `index` is the last sample's."""
        n = self._n
        calibrated = self.calibration is not None
        self._sum_up(n)
        cells = [
            self._cell_n(cell) if calibrated and n and not self._faults[cell] else None
            for cell in range(self._cells)
        ]
        whole = None not in cells
        self.sum_n = sum(cells) if whole else None  # type: ignore[arg-type]
        self._note_known([cell for cell in cells if cell is not None])
        # by hand: the library would print 0.07 as 0.07000000000000001
        payload = (
            '{"boot":%d,"index":%d,"cells_n":[%s],"sum_n":%s,"min_n":%s,"max_n":%s,'
            '"calibration":%s,"validity":"%s"}'
            % (
                self._boot,
                index,
                ",".join([_number(cell) for cell in cells]),
                _number(self.sum_n),
                _number(self._least * self.unit_n if whole else None),
                _number(self._greatest * self.unit_n if whole else None),
                self.calibration["id"] if calibrated else "null",
                self._validity(calibrated, n, whole),
            )
        )
        self._restart()
        return payload.encode()

    def _note_known(self, cells):
        self._unknown = 0 if cells else self._unknown + 1
        if cells:
            self.known_n = sum(cells)
        elif self._unknown > _KNOWN_INTERVALS:
            self.known_n = None

    def _sum_up(self, n):
        self.faulty = any(self._faults)
        self.whole = n > 0 and not self.faulty
        if self.whole:
            for cell in range(self._cells):
                self.means[cell] = self._sums[cell] // n

    def _cell_n(self, cell):
        above_zero = self._sums[cell] - self._n * self._zero[cell]
        return above_zero / self._n * self.calibration["cells"][cell]["span_n_per_count"]

    def _validity(self, calibrated, n, whole):
        if n == 0:
            return "stale"
        if not calibrated:
            return "fault" if any(self._faults) else "uncalibrated"
        return "valid" if whole else "fault"

    def _restart(self):
        self._n = 0
        for cell in range(self._cells):
            self._sums[cell] = 0
            self._faults[cell] = 0


def _number(newtons):
    return "null" if newtons is None else "%.2f" % newtons
