from tests.servers.database import pool, pools

__all__ = ["pool", "pools"]
