"""Who is told what, when, and what became of it.

Receives anomalies, run summaries and actions as plain values from stream/; returns notifications (outcomes with their
reasons) and deliveries that are due. `policy` and everything it imports is pure: no clock, no I/O, no settings; its
memory is a mapping of bytes that the caller keeps. Only `deliver`, `channels` and `configure` touch the world.
Never detects, never stores, never reads a topic.
"""
