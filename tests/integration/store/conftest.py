from tests.servers.database import pool

__all__ = ["pool"]
