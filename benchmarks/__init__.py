"""Measurements that others can repeat: each program prints one JSON object as its last line.

Receives a broker that it starts itself; returns figures with their spread, and only after the results were found
correct. Never part of the product: nothing in `stream_detector` imports from here.
"""
