"""Converters behind one interface: counts and codes into a buffer. No grams, no filters, no tare.

channels, rate_hz            how many cells, nominal samples a second
count_min, count_max         range of the converter; readings there are coded as saturated
ready() -> bool              a sample can be read now; to be asked every few milliseconds
due_ms() -> int              for how long there is no need to ask
read(buf, offset) -> bool    a count or a code of docs/protocol.md for each channel, into an array of ints;
                             False: too late after `ready`, nothing was done, ask again
silent(buf, offset)          the codes of a sample that did not come
not_ready, desync, saturated    array('I'), a counter for each channel
"""
