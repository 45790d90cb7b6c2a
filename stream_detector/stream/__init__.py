"""The only Faust code: batch delivery, the checkpoint, and one file per role.

Receives chunks of raw records; returns anomalies, summaries, rows and messages by topic. Never decides what is
anomalous (`detect`), what is sent (`notify`) or how it is stored (`store`).
"""
