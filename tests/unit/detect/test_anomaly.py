from stream_detector.detect.anomaly import of_execution
from tests.events_made import anomaly, completion


def test_of_an_execution_is_what_names_it() -> None:
    own, other = anomaly("own", execution_id="run-1"), anomaly("other", execution_id="run-0")
    event = completion(execution_id="run-1")
    assert list(of_execution([other, own], event)) == [own] and list(of_execution((), event)) == []
