"""Checksums of what detection and the notifier's policy make of known histories."""
