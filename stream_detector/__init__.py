"""Finds failing, slowing and drifting workflows and scores in events on Kafka, and says so with the evidence."""

__version__ = "0.1.0"
