"""Drills: real processes on real brokers come to harm under load; afterwards everything is compared with a ledger.

Receives a drill's name and options (`python -m tests.drills NAME --json`, or pytest); returns what was lost and
doubled. Never looks into a role's memory: only at what is on the topics, in PostgreSQL and at the fake providers.
"""
