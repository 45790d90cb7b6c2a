"""What messages say, before any channel's layout: the same facts everywhere, each value free of control characters.

Receives an anomaly, a run or the lines of a combined message from `stages.render`; returns plain values that a
channel's `Layout` lays out and escapes. Never decides whether something is sent, and is pure: the same subject gives
the same text, byte for byte.
"""
