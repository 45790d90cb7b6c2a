"""The only SQL: migrations, idempotent writes, queries, retention.

Receives rows of typed events from the recorder and questions from the API; returns bad rows, and stored events.
Never talks to Kafka, never decides what an anomaly is.
"""
