"""What the policy keeps: its keys, the values under them, and the slots that both are packed into.

Receives and returns plain values. Names in Python may change; the encoded names and bytes may not, since the state of
a running notifier was written by an earlier version (`tests/unit/notify/test_stored_state.py` holds such a state).
"""
