from typing import Any

from aiokafka.protocol.api import RequestStruct, Response

class FetchRequest_v11(RequestStruct): ...

class FetchResponse_v11(Response):
    throttle_time_ms: int
    error_code: int
    session_id: int
    topics: list[tuple[str, list[tuple[Any, ...]]]]
