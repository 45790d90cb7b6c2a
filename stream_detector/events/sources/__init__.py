"""One adapter per way in which others write events; each opens what it knows and leaves the rest alone.

Receives a record's value and headers from `events.decode`; returns the JSON of an event of our contract. Never
validates that event: the decoder does, the same for every source.
"""
