"""What each channel promises: `test_contract` runs against all of `PROVIDERS`, one file a channel has its own promises.

A new channel adds a file with its provider and one line here; `test_contract` names a registered channel without one.
"""
