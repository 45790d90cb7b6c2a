"""State from the database back onto the topics, after the broker or the topics that had it are lost.

Receives settings; returns what was restored, as numbers. `new_broker` is for a cluster that holds no state: payloads
without positions, and the events that they lack once more. Never runs beside a detector or notifier.
"""
