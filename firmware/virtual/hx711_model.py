"""An HX711 true to its datasheet at the pins: it knows clock edges and levels; nothing of who reads it.

Conversions run on the chip's own oscillator and are worked out when a pin is looked at. All arithmetic is
integer and allocates nothing on a port with 63-bit integers, so the heap of the firmware under test shows
only the firmware. What the datasheet leaves open is chosen to be hard on the reader: a word replaced in
mid-read passes the check after bit 24 (`tear="continue"`), clock pulses beyond the 27th leave the chip on
another gain.
"""

POWER_DOWN_US = 60  # clock high for longer than this powers the chip down
SETTLING_CONVERSIONS = 4  # 50 ms at 80 SPS after power-up and after a change of gain or channel
UNREAD_PULSE_US = (
    10  # an unread DOUT goes high for a moment before the next word; the datasheet gives no figure
)
FULL_SCALE = 0x7FFFFF
CONSUMED = 25  # pulses after which DOUT stays high until the next conversion
A128, B32, A64 = 25, 26, 27  # pulses that select channel and gain of the next conversion


class HX711Model:
    """One converter. `count_per_n_q10`: counts per newton at gain 128 times 1024; times in board us."""

    def __init__(
        self,
        cell,
        trace,
        faults,
        period_us=12500,
        phase_us=0,
        zero_count=0,
        count_per_n_q10=0,
        noise_count=60,
        drift_count_per_h=0,
        seed=1,
        tear="continue",
        settling_visible=False,
    ):
        self.cell = cell
        self._trace = trace
        self._faults = faults
        self.nominal_period_us = period_us
        self.period_us = period_us
        self.zero_count = zero_count
        self.count_per_n_q10 = count_per_n_q10
        self._noise = noise_count
        self._drift = drift_count_per_h
        self._random = (seed * 69069 + 12345 + cell * 7919) & 0x7FFFFFFF
        self._restart_on_tear = tear == "restart"
        self._settling_visible = settling_visible
        self.conversions = 0
        self.torn = 0
        self._word = 0
        self.truth = self.truth_before = 0  # what an ideal converter read in the last two conversions
        self._spiked = None
        self._clock_high = False
        self._high_since = 0
        self._power_up(phase_us)

    def _power_up(self, now):
        self.down = False
        self._gain = A128
        self._pulses = 0
        self._has_word = False
        self._settling = SETTLING_CONVERSIONS
        self._next = now + self.period_us

    def rise(self, now):
        """The clock line goes high."""
        self.advance(now)
        self._clock_high = True
        self._high_since = now
        if not self.down:
            self._pulses += 1

    def fall(self, now):
        """The clock line goes low; a chip that was down starts anew."""
        self.advance(now)
        self._clock_high = False
        if self.down:
            self._power_up(now)

    def dout(self, now):
        """Level of the data line, 0 or 1."""
        self.advance(now)
        pulses = self._pulses
        if self.down or not self._has_word or pulses >= CONSUMED:
            return 1
        if pulses:
            return self._word >> (24 - pulses) & 1
        return 1 if self._next - now <= UNREAD_PULSE_US else 0

    def advance(self, now):
        """Do all conversions that ended by `now`."""
        if self.down:
            return
        if self._clock_high and now - self._high_since > POWER_DOWN_US:
            self.down = True
            return
        if now < self._next:
            return
        skipped = (now - self._next) // self.period_us  # nobody looked: only the last word is left to see
        if skipped > SETTLING_CONVERSIONS:
            self._next += (skipped - SETTLING_CONVERSIONS) * self.period_us
            self.conversions += skipped - SETTLING_CONVERSIONS
        while now >= self._next:
            self._convert(self._next)
            self._next += self.period_us

    def _convert(self, now):
        self.conversions += 1
        self._set_gain()
        self.truth_before = self.truth
        self.truth = self.true_count(now - self.period_us, now)
        word = self._measure(now)
        slow = self._faults.find("slow_chip", self.cell, now)
        self.period_us = int(self.nominal_period_us * slow.amount) if slow else self.nominal_period_us
        if self._settling:
            self._settling -= 1
            if self._settling and not self._settling_visible:
                self._has_word = False
                self._pulses = 0
                return
            word = word * (SETTLING_CONVERSIONS - self._settling) // SETTLING_CONVERSIONS
        if self._has_word and 0 < self._pulses < CONSUMED:
            self.torn += 1
            if self._restart_on_tear:
                self._pulses = 0
        else:
            self._pulses = 0
        self._word = word & 0xFFFFFF
        self._has_word = True

    def _set_gain(self):
        gain = min(self._pulses, A64)
        if gain >= A128 and gain != self._gain:
            self._gain = gain
            self._settling = SETTLING_CONVERSIONS

    def _measure(self, now):
        if self._faults.find("frozen", self.cell, now):
            return self._word if self._word < 0x800000 else self._word - 0x1000000
        saturated = self._faults.find("saturated", self.cell, now)
        if saturated:
            return FULL_SCALE if saturated.amount > 0 else -FULL_SCALE - 1
        count = self.truth + self._noise_now()
        spike = self._faults.find("spike", self.cell, now)
        if spike and spike is not self._spiked:
            count += int(spike.amount) * self.count_per_n_q10 >> 10
        self._spiked = spike
        if self._gain == A64:
            count >>= 1
        elif self._gain == B32:
            count = self.zero_count >> 2
        return max(-FULL_SCALE - 1, min(FULL_SCALE, count))

    def true_count(self, from_us, to_us):
        """What an ideal converter reads for the average of that span at gain 128."""
        impulse = self._trace.impulse(self.cell, from_us, to_us)
        counts = impulse * self.count_per_n_q10 // ((to_us - from_us) * 1000) >> 10
        return counts + self.zero_count + self._drift * to_us // 3600000000

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
