"""The pure part: functions of (state, event, now). No I/O, no clock, no asyncio; imports nothing of ours but core."""
