from collections.abc import Sequence
from typing import Any

class BatchBuilder:
    def __init__(
        self,
        batch_size: int,
        compression_type: int,
        *,
        is_transactional: bool = False,
        key_serializer: Any = None,
        value_serializer: Any = None,
    ) -> None: ...
    def append(
        self,
        *,
        timestamp: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]] | None = None,
    ) -> Any | None: ...
    def _build(self) -> bytearray: ...
    def close(self) -> None: ...
    def record_count(self) -> int: ...
    def size(self) -> int: ...
