"""An ADS131M04 true to TI's data sheet SBAS890D at its pins and bytes: frames, checksums, registers, DRDY,
reset.

Integer arithmetic, nothing allocated once it runs. A conversion is the average of the force over its time.
Not modelled, for nobody here sets them: the filters' shape, global chop, current detection, phases and
calibration registers. What the data sheet leaves open is hard on the reader: data read without a new
conversion are the old ones, and the first two conversions after a restart are nonsense.
"""

import array

FULL_SCALE = 0x7FFFFF
OSR = (128, 256, 512, 1024, 2048, 4096, 8192, 16384)
FRAME = 18
DEFAULTS = ((0, 0x2400), (2, 0x0510), (3, 0x0F0E), (4, 0), (6, 0x0600))  # 8.6; ID, MODE, CLOCK, GAIN1, CFG
RESET_CLOCKS = 2048  # SYNC/RESET low for as long is a reset, shorter a synchronisation: 6.6
NOISE_GAIN_128 = 376  # counts rms at OSR 16384: 0.42 uV of 9.375 mV, table 7-1
HISTORY = 16


def crc16(buf, n):
    """CRC-16/CCITT bit by bit, as the data sheet gives it (8.3.12)."""
    crc = 0xFFFF
    for i in range(n):
        crc ^= buf[i] << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


class ADS131M04Model:
    """`cells`: for each channel (zero_count, count_per_n_q10), in counts at gain 128."""

    def __init__(
        self, trace, faults, cells, clkin_hz=8192000, noise_count=NOISE_GAIN_128, drift_count_per_h=0, seed=1
    ):
        self._trace = trace
        self._faults = faults
        self.cells = cells
        self._clkin_khz = clkin_hz // 1000
        self._noise = noise_count
        self._drift = drift_count_per_h
        self._random = (seed * 69069 + 12345) & 0x7FFFFFFF
        self._registers = array.array("H", [0] * 64)
        self.truths = [
            array.array("i", [0] * HISTORY) for _ in range(4)
        ]  # at gain 128, newest at `conversions` % HISTORY
        self.conversions = 0
        self.resets = 0
        self._words = array.array("i", [0] * 4)
        self._held = array.array("i", [0] * 8)  # the older one of the two that wait, then the newer one
        self._fifo = 0
        self._out = bytearray(FRAME)
        self._in = bytearray(FRAME + 3)
        self._at = -1
        self._selected = self._silent = False
        self._mosi_flip = self._miso_flip = self._miso_off = None
        self._low_since = -1
        self._reset_fault = None
        self.restart(0)

    # Power, clock, reset

    def restart(self, now):
        """All registers to their defaults, the filters anew (8.4.1)."""
        for register in range(64):
            self._registers[register] = 0
        for register, value in DEFAULTS:
            self._registers[register] = value
        self._response = -1
        self._flags = 0x0400
        self.resets += 1
        self._synchronise(now)

    def _synchronise(self, now):
        self._fifo = 0
        self._unsettled = 2
        self._next_q10 = (now << 10) + self.period_q10()
        self._last_end = now

    def period_q10(self):
        """A conversion, in 1024ths of a microsecond of the board's time."""
        osr = OSR[self._registers[3] >> 2 & 7]
        return (2 * osr * 1000 << 10) // self._clkin_khz

    def reset_pin(self, level, now):
        self.advance(now)
        if not level:
            self._low_since = now
        elif self._low_since >= 0:
            if (now - self._low_since) * self._clkin_khz // 1000 >= RESET_CLOCKS:
                self.restart(now)
            else:
                self._flags |= 0x4000
                self._synchronise(now)
            self._low_since = -1

    # Conversions

    def advance(self, now):
        """Do all conversions that ended by `now`."""
        fault = self._faults.chip("reset", now)
        if fault is not None and fault is not self._reset_fault:
            self.restart(now)
        self._reset_fault = fault
        if self._faults.chip("no_clock", now):
            self._next_q10 = (now << 10) + self.period_q10()
            self._last_end = now
            return
        now_q10 = now << 10
        if now_q10 < self._next_q10:
            return
        period = self.period_q10()
        skipped = (now_q10 - self._next_q10) // period
        if skipped > 4:
            self._next_q10 += (skipped - 4) * period
            self._last_end = (self._next_q10 - period) >> 10
            self._unsettled = 0
        while now_q10 >= self._next_q10:
            self._convert(self._next_q10 >> 10)
            slow = self._faults.chip("slow_chip", now)
            self._next_q10 += int(period * slow.amount) if slow else period

    def _convert(self, now):
        self.conversions += 1
        if self._fifo == 2:
            for channel in range(4):
                self._held[channel] = self._held[4 + channel]
            self._fifo = 1
        for channel in range(4):
            truth = self._true_count(channel, self._last_end, now)
            self.truths[channel][self.conversions % HISTORY] = truth
            self._words[channel] = self._measure(channel, truth, now)
            self._held[4 * self._fifo + channel] = self._words[channel]
        self._fifo += 1
        self._last_end = now
        if self._unsettled:
            self._unsettled -= 1

    def _true_count(self, channel, from_us, to_us):
        if channel >= len(self.cells):
            return 0
        zero, count_per_n_q10 = self.cells[channel]
        impulse = self._trace.impulse(channel, from_us, to_us)
        count = impulse * count_per_n_q10 // (max(1, to_us - from_us) * 1000) >> 10
        return count + zero + self._drift * to_us // 3600000000

    def _measure(self, channel, truth, now):
        if self._faults.find("frozen", channel, now):
            return self._words[channel]
        # broken signal wire: the bias current carries the open input out of its range
        full = self._faults.find("saturated", channel, now) or self._faults.find(
            "cell_wire_off", channel, now
        )
        if full:
            return FULL_SCALE if full.amount > 0 else -FULL_SCALE - 1
        if self._faults.find("no_excitation", channel, now):
            truth = 0
        spike = self._faults.find("spike", channel, now)
        if spike:
            truth += int(spike.amount) * self.cells[channel][1] >> 10
        count = truth + self._noise_now()
        count = count * (1 << (self._registers[4] >> 4 * channel & 7)) >> 7
        if self._unsettled:
            count += 1000000
        return max(-FULL_SCALE - 1, min(FULL_SCALE, count))

    def _noise_now(self):
        if not self._noise:
            return 0
        total = -262144  # eight uniform draws: near enough to a normal distribution, deviation 53510
        state = self._random
        for _ in range(8):
            state = (state * 69069 + 12345) & 0x7FFFFFFF
            total += state >> 15
        self._random = state
        return total * self._noise // 53510

    # Pins and frames

    def drdy(self, now, pull):
        """Level of DRDY: low while a conversion is held (8.5.1.5)."""
        self.advance(now)
        if self._faults.chip("drdy_low", now):
            return 0
        if self._faults.chip("missing", now) or self._faults.chip("drdy_wire_off", now):
            return 1 if pull == 2 else 0
        if self._low_since >= 0:
            return 0
        return 0 if self._fifo else 1

    def chip_select(self, level, now):
        self.advance(now)
        if not level:
            self._selected = True
            self._at = 0
            self._silent = self._low_since >= 0 or self._faults.chip("missing", now) is not None
            self._mosi_flip = self._faults.chip("mosi_flip", now)
            self._miso_flip = self._faults.chip("miso_flip", now)
            self._miso_off = self._faults.chip("miso_wire_off", now)
            self._begin()
        elif self._selected:
            self._selected = False
            self._end(now)

    def _begin(self):
        """The frame that will be shifted out."""
        out = self._out
        response = self._response
        if response < 0:
            response = self._status()
            self._flags &= ~0x7000  # F_RESYNC, REG_MAP, CRC_ERR are cleared by being read
        out[0] = response >> 8
        out[1] = response & 255
        out[2] = 0
        for channel in range(4):
            word = self._held[channel] & 0xFFFFFF
            out[3 + 3 * channel] = word >> 16
            out[4 + 3 * channel] = word >> 8 & 255
            out[5 + 3 * channel] = word & 255
        crc = crc16(out, 15)
        out[15] = crc >> 8
        out[16] = crc & 255
        out[17] = 0

    def exchange(self, _now, sent):
        """One byte each way; None while not selected."""
        if not self._selected:
            return None
        at = self._at
        self._at += 1
        if at >= FRAME or self._silent:
            return 0xFF if self._silent else 0
        if self._mosi_flip and at == self._draw(6):
            sent ^= 1 << self._draw(8)
        self._in[at] = sent
        if at == 14 and self._fifo:
            self._fifo -= 1
            for channel in range(4):
                if self._fifo:
                    self._held[channel] = self._held[4 + channel]
        said = self._out[at]
        if self._miso_flip and self._draw(FRAME) < self._miso_flip.amount:
            said ^= 1 << self._draw(8)
        if self._miso_off:
            return 0xFF if self._miso_off.amount > 0 else 0
        return said

    def _draw(self, below):
        self._random = (self._random * 69069 + 12345) & 0x7FFFFFFF
        return (self._random >> 8) % below

    def _end(self, now):
        """CS went high: what was shifted in takes effect."""
        if self._at < FRAME or self._silent:
            return
        command = self._in[0] << 8 | self._in[1]
        writes = command >> 13 == 3
        covered = 6 if writes else 3
        self._response = -1
        if writes:  # also with a wrong checksum: 8.3.12
            register = command >> 7 & 63
            self._write(register, self._in[3] << 8 | self._in[4], now)
            self._response = 0x4000 | register << 7
        checked = self._registers[2] & 0x1000 and not (writes and register == 2)
        if checked and crc16(self._in, covered) != self._in[covered] << 8 | self._in[covered + 1]:
            self._flags |= 0x1000
            self._response = -1
            return
        if command == 0x0011:
            self.restart(now)
            self._response = 0xFF24
        elif command >> 13 == 5:
            register = command >> 7 & 63
            self._response = self._status() if register == 1 else self._registers[register]

    def _status(self):
        return self._flags | (self._registers[2] & 0x0B00) | (0x0F if self._fifo else 0)

    def _write(self, register, value, now):
        if register in (0, 1, 5):
            return
        if register == 2 and not value & 0x0400:
            self._flags &= ~0x0400
        before = self._registers[3]
        self._registers[register] = value
        if register == 3 and (before ^ value) & 0x1C:
            self._synchronise(now)


def fit(board, config, seed):
    """Put the converter of a run configuration on the board's pins."""
    chip = ADS131M04Model(
        board.trace,
        board.faults,
        [(cell.get("zero_count", 0), cell["count_per_n_q10"]) for cell in config["cells"]],
        config.get("clkin_hz", 8192000),
        config.get("noise_count", NOISE_GAIN_128),
        config.get("drift_count_per_h", 0),
        seed,
    )
    inputs = {config["cs"]: chip.chip_select}
    if "reset" in config:
        inputs[config["reset"]] = chip.reset_pin
    board.attach({config["drdy"]: chip.drdy}, inputs, chip)
    board.chips.append(chip)
    return chip
