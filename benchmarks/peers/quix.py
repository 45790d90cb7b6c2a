"""The reference job in Quix Streams as its documentation writes it: a stateful function, state in RocksDB, a changelog.

It runs in an environment of its own (`quix_requirements.txt`), which holds nothing of ours but these modules.
"""

from typing import Any

from quixstreams import Application, State

from benchmarks.orders import Orders
from benchmarks.reference import judge, learn

orders = Orders.from_environment()
app = Application(
    broker_address=orders.broker,
    consumer_group=orders.group,
    auto_offset_reset="earliest",
    commit_interval=1.0,
    state_dir=orders.folder,
    loglevel="ERROR",
)
source = app.topic(orders.source, key_deserializer="str", value_deserializer="json")
alerts = app.topic(orders.alerts, key_serializer="str", value_serializer="json")


def detect(reading: dict[str, Any], state: State) -> dict[str, str] | None:
    """Judge, then learn, one event at a time. The state is that of the record's key, the workflow."""
    orders.started()
    count, mean, squares = state.get("baseline", (0, 0.0, 0.0))
    duration_s = reading["duration_s"]
    found = judge(count, mean, squares, duration_s)
    state.set("baseline", learn(count, mean, squares, duration_s))
    if orders.handled(1):
        app.stop()  # `run` commits before it returns
    return {"id": reading["execution_id"], "workflow_id": reading["workflow_id"]} if found else None


readings = app.dataframe(source)
readings = readings.apply(detect, stateful=True)
readings = readings.filter(lambda alert: alert is not None)
readings.to_topic(alerts)

if __name__ == "__main__":
    app.run()
    orders.report()
