"""Services for a machine without a cluster: embedded broker and database, Apache Kafka, and the supervisor of `up`.

Receives settings from `cli`; returns addresses of running services and stops them with their parent. Never decides
anything about events, and starts nothing for which the user configured an address.
"""
