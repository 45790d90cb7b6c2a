"""Who is notified of what, when, and what became of it.

Receives anomalies, run summaries and actions as plain values from `roles.notifier`; returns notifications (outcomes
with their reasons) and deliveries that are due. `policy` is the file to read first: it lists the stages in order. It
and everything it imports is pure: no clock, no I/O, no settings; its state is a mapping of bytes that the caller keeps.
Only `stages.deliver`, the channels' clients and `configure` touch the world. Never detects, stores or reads a topic.
"""
