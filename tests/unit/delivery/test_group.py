"""A worker's life in its group."""

from types import SimpleNamespace

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    InvalidSessionTimeoutError,
    KafkaError,
)

from stream_detector.delivery import group as module
from stream_detector.delivery.group import InlineConsumerThread


class Refused(Exception):
    pass


class Member(InlineConsumerThread):
    """What becomes of errors in the group, without a group."""

    def __init__(self) -> None:
        self.rejoined = 0
        self._consumer = SimpleNamespace(_coordinator=SimpleNamespace(request_rejoin=self._rejoin))
        self.app = SimpleNamespace(fail=self._fail, role="detector", conf=SimpleNamespace(id="here.detector"))

    def _rejoin(self):
        self.rejoined += 1

    def _fail(self, why):
        raise Refused(why)


@pytest.mark.parametrize(
    "error", [KafkaError("unexpected"), GroupCoordinatorNotAvailableError(), RuntimeError("a defect")]
)
async def test_a_member_of_a_troubled_group_joins_again(monkeypatch, error):
    monkeypatch.setattr(module, "REJOIN_AFTER_S", 0.0)
    member = Member()
    await member._on_error(error)
    assert member.rejoined == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (GroupAuthorizationFailedError("here.detector"), "Read on group here.detector.*acls --role detector"),
        (InvalidSessionTimeoutError(), "InvalidSessionTimeout"),
    ],
)
async def test_where_joining_again_cannot_help_it_ends_and_says_why(error, said):
    with pytest.raises(Refused, match=said):
        await Member()._on_error(error)
