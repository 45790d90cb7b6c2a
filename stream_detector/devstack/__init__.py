"""Everything that a machine without a cluster needs: an embedded broker and database, real Kafka, the parent of `up`.

Receives settings from `cli`; returns addresses of running services and ends them with their parent. Never decides
anything about events, and starts nothing where the user named an address.
"""
