"""Named log events: each is one type that owns its one log line and its one metric. Also /metrics, /livez, /readyz."""
