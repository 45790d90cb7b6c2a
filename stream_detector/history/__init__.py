"""History of other systems: from their APIs, page by page, to payloads that the table of sources reads.

Receives a place (a repository, a job) and a span of time from the command line; returns payloads in the form of the
system's own API. Never decodes them: `events.sources` does. Never publishes: the command does.
"""
