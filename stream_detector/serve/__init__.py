"""The HTTP API and the dashboard's server.

Receives requests; returns stored findings as JSON, and problems (RFC 9457) where it cannot. Folds detection's own
`step` where asked what it would say. Never decides by itself what an anomaly is, and never writes to a stored event.
"""
