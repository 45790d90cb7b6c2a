"""One file a resource of the API: its query, its body, its answer, its handlers. `routes.py` mounts them.

Receives requests that the guard let through; returns what is stored as JSON. A handler's name is its operationId.
"""
