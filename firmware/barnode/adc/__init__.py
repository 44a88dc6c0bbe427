"""Converters behind one interface: counts and codes into a buffer. No grams, no filters, no tare.

channels, rate_hz       how many cells, nominal samples a second
ready() -> bool         a sample can be read now; call it at least every few milliseconds while waiting
due_ms() -> int         how long waiting without calling `ready` does no harm
read(buf, offset)       one count or code of docs/protocol.md for each channel into an array of ints
silent(buf, offset)     the codes of a sample that did not come
not_ready, desync, saturated    array('I'), one counter for each channel
"""
