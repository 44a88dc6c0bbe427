"""The pure part: functions of (state, event, now).

No I/O, no clock, no asyncio; it imports nothing of ours but core.
"""
