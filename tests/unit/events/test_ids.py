"""Ids and instants are computed by shortcuts: the results are those of the standard library."""

from datetime import UTC, datetime, timedelta
from uuid import uuid5

from hypothesis import given
from hypothesis import strategies as st

from stream_detector.events.ids import NAMESPACE, SEPARATOR, derived_id
from stream_detector.events.times import epoch_ms, from_epoch_ms


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",))), max_size=5))
def test_derived_id_is_the_uuid5_of_the_parts(parts):
    assert derived_id(*parts) == str(uuid5(NAMESPACE, SEPARATOR.join(parts)))


@given(st.datetimes(min_value=datetime(1900, 1, 1), timezones=st.just(UTC)))
def test_epoch_ms_rounds_down(at):
    assert epoch_ms(at) == (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert timedelta() <= at - from_epoch_ms(epoch_ms(at)) < timedelta(milliseconds=1)
