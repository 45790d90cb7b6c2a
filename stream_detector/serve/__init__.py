"""The HTTP API and the dashboard's server.

Receives requests; returns stored findings as JSON, and problems (RFC 9457) where it cannot. Replays detection's own
`step` for checks and series. Never decides by itself what an anomaly is, and never writes to a stored event.
"""
