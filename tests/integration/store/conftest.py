from tests.servers.database import empty_url, pool, postgres

__all__ = ["empty_url", "pool", "postgres"]
