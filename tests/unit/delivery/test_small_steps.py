"""Which record was alone under way when the process ended, in every order of ends, commits and rebalances."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from faust.types import TP

from stream_detector.delivery.small_steps import FIRST_RECORDS, MOST_RECORDS, SET_ASIDE, Noted, SmallSteps
from stream_detector.delivery.start_notes import NotesInFile, NotesInMetadata, read_set_aside
from stream_detector.kafka.commit_note import (
    CommitNote,
    OffsetRange,
    StartNote,
    read_note,
    with_lost,
    with_set_aside,
    with_start,
)

A, B = TP("scores", 0), TP("scores", 1)


class Group:
    """The committed offsets of a group with their metadata, on a broker that keeps it."""

    def __init__(self) -> None:
        self.committed: dict[TP, tuple[int, str]] = {}
        self.is_ours, self.set_aside = True, list[tuple[TP, int]]()

    async def commit(self, noted: Mapping[TP, tuple[int, str]]) -> bool:
        if self.is_ours:
            self.committed |= noted
        return self.is_ours

    def commit_now(self, noted: Mapping[TP, tuple[int, str]]) -> None:
        self.committed |= noted

    def notes(self) -> NotesInMetadata:
        """As a process finds them when it starts."""
        found = {tp: text for tp, (_, text) in self.committed.items()}
        return NotesInMetadata(
            lambda tp: found.get(tp, ""),
            lambda tp: with_lost(found.get(tp, "")),
            self.commit,
            self.commit_now,
            lambda tp, offset: self.set_aside.append((tp, offset)),
        )

    def note(self, tp: TP = A) -> StartNote | None:
        return read_note(self.committed[tp][1]).start


class Process:
    """One life of a role: `live` reads up to the record `poison`, which kills."""

    def __init__(self, group: Group) -> None:
        self.group, self.steps = group, SmallSteps(group.notes())
        self.alone = list[int]()

    async def start(self, *tps: TP) -> "Process":
        await self.steps.begin({tp: max(0, self.group.committed.get(tp, (0, ""))[0]) for tp in tps or (A,)})
        return self

    async def commit(self, offset: int, tp: TP = A) -> None:
        """A checkpoint."""
        kept = with_lost(self.group.committed.get(tp, (0, ""))[1])
        if await self.group.commit({tp: (offset, with_start(kept, self.steps.at(tp, offset)))}):
            self.steps.passed({tp: offset})

    async def live(self, poison: int, end: int, tp: TP = A) -> int | None:
        """Returns the offset that is set aside, None where the process is killed or has read everything."""
        at = self.group.committed.get(tp, (0, ""))[0]
        while at < end:
            if tp not in self.steps.again:
                if at <= poison < end:
                    return None
                at = end
            else:
                most = self.steps.records(tp)
                if self.steps.starts(tp) == SET_ASIDE:
                    return at
                assert await self.steps.mark(tp, end)
                if most == 1:
                    self.alone.append(at)
                if at <= poison < min(end, at + most):
                    return None
                at = min(end, at + most)
            await self.commit(at, tp)
        return None


async def ends_until_set_aside(group: Group, poison: int, end: int) -> int:
    for ends in range(20):
        process = await Process(group).start()
        if (found := await process.live(poison, end)) is not None:
            assert found == poison
            return ends
        assert len(process.alone) <= MOST_RECORDS
    raise AssertionError(group.committed)


@pytest.mark.parametrize("poison", [0, 1, 19, 20, 1_999, 2_000, 5_000, 300_000])
async def test_x10_the_record_that_kills_is_found_and_no_other(poison: int) -> None:
    assert await ends_until_set_aside(Group(), poison, 400_000) == 5


async def test_x10_the_next_record_that_kills_is_found_as_soon() -> None:
    group = Group()
    assert await ends_until_set_aside(group, 30, 400_000) == 5
    process = await Process(group).start()
    await process.commit(31)
    assert group.note() == StartNote(starts=3, size=FIRST_RECORDS * 2 - 11), "what was under way with it follows"
    assert await ends_until_set_aside(group, 33, 400_000) == 3


async def test_x10_four_kills_at_one_offset_of_records_that_are_good() -> None:
    group = Group()
    for _ in range(4):
        process = await Process(group).start()
        if process.steps.again:
            await process.steps.mark(A, 3_000)
    process = await Process(group).start()
    assert process.steps.starts(A) == SET_ASIDE - 1
    assert await process.live(-1, 3_000) is None
    assert group.committed[A] == (3_000, "")


async def test_a_first_start_changes_nothing_and_a_commit_begins_anew() -> None:
    group = Group()
    process = await Process(group).start()
    assert not process.steps.again and group.note() == StartNote(starts=1)
    await process.commit(7)
    assert group.committed[A] == (7, "")
    assert not (await Process(group).start()).steps.again


async def test_what_is_given_back_in_order_is_no_end() -> None:
    group = Group()
    for _ in range(5):
        process = await Process(group).start(A, B)
        assert not process.steps.again
        await process.commit(9, B)
        await process.steps.end(lambda tp, offset: True)
    assert group.committed == {A: (0, ""), B: (9, "")}


async def test_what_is_applied_further_is_not_committed_further_back_when_it_is_given_back() -> None:
    group = Group()
    process = await Process(group).start(A, B)
    await process.steps.end(lambda tp, offset: tp == A)
    assert group.committed[A] == (0, "")
    assert group.note(B) == StartNote(starts=1), "a commit of it may be under way"


async def test_steps_grow_up_to_where_the_topic_ended_and_have_no_size_behind() -> None:
    group, at, sizes = Group(), 0, list[int]()
    await Process(group).start()
    process = await Process(group).start()
    while A in process.steps.again:
        sizes.append(process.steps.records(A))
        assert group.note() == StartNote(starts=2, size=sizes[-1]), "known before it is fetched"
        await process.steps.mark(A, 3_000 + at)  # which grows
        assert group.note() == StartNote(starts=2, size=sizes[-1], is_read=True)
        at += sizes[-1]
        await process.commit(at)
    assert sizes == [20, 40, 80, 160, 320, 500, 500, 500, 500, 500]
    assert group.committed[A] == (3_120, "")


async def test_a_partition_that_was_not_read_when_the_process_ended_starts_for_the_second_time_again() -> None:
    group = Group()
    for starts in range(1, 7):
        process = await Process(group).start(A, B)
        assert process.steps.starts(A) == min(starts, 2)
        await process.steps.mark(B, 9)
    assert process.steps.starts(B) == SET_ASIDE, "five ends, four of them in a step of it"
    await process.steps.unmark()
    await process.steps.mark(A, 1)
    await process.commit(1)
    assert group.committed[A] == (1, "") and process.steps.again == {B}


async def test_a_partition_that_was_taken_away_is_not_marked() -> None:
    group = Group()
    await Process(group).start()
    process = await Process(group).start()
    group.is_ours = False
    assert not await process.steps.mark(A, 9)
    process = await Process(group).start()
    assert not process.steps.again, "what is not noted counts for nothing"
    assert not await process.steps.mark(A, 9) and process.steps.starts(A) == 0


async def test_an_end_with_a_known_reason_or_while_a_service_is_away_blames_no_record() -> None:
    group = Group()
    for number in range(8):
        process = await Process(group).start()
        if process.steps.again:
            await process.steps.mark(A, 9)
            if number % 2:
                process.steps.unmark_now()
            else:
                await process.steps.unmark()
                process.steps.unmark_now()
    assert group.note() == StartNote(starts=2, size=FIRST_RECORDS)


@pytest.mark.parametrize("text", ["", "by hand", "{", '{"start":{"starts":"x"}}', "[" * 5_000, "null"])
async def test_what_somebody_else_noted_is_nothing(text: str) -> None:
    group = Group()
    group.committed[A] = (0, text)
    assert not (await Process(group).start()).steps.again
    assert group.note() == StartNote(starts=1)


async def test_what_was_lost_stays_noted() -> None:
    group = Group()
    group.committed[A] = (7, '{"lost":[[3,7]]}')
    for starts in (1, 2):
        await Process(group).start()
        note = StartNote(starts=starts, size=FIRST_RECORDS if starts > 1 else 0)
        assert read_note(group.committed[A][1]) == CommitNote((OffsetRange(3, 7),), note)
    assert with_start(group.committed[A][1], StartNote()) == '{"lost":[[3,7]]}'


async def test_what_was_set_aside_is_noted_with_each_commit() -> None:
    text = '{"lost":[[3,7]],"start":{"starts":2}}'
    for offset in (8, 9, 8):
        text = with_set_aside(text, offset)
    assert read_note(text) == CommitNote((OffsetRange(3, 7),), StartNote(starts=2), (9, 8))
    assert with_start(text, StartNote()) == with_lost(text) == '{"lost":[[3,7]],"set_aside":[9,8]}'
    for offset in range(10**18, 10**18 + 300):
        text = with_set_aside(text, offset)
    assert len(text) < 2_000, "a broker takes 4,096 bytes"


async def test_a_file_outlives_the_process_and_knows_its_offset(tmp_path: Path) -> None:
    path = tmp_path / "starts.detector"
    noted: Noted = {A: (5, StartNote(starts=3, size=9, is_read=True)), B: (0, StartNote(starts=1))}
    assert await NotesInFile(path).write(noted)
    again = NotesInFile(path)
    assert await again.read({A: 5, B: 1}) == {A: StartNote(starts=3, size=9, is_read=True)}
    again.note_passed({A: (6, StartNote(starts=3, size=8))})
    assert await NotesInFile(path).read({A: 6}) == {A: StartNote(starts=3, size=8)}
    again.note_set_aside(A, 6)
    assert read_set_aside(path) == ["scores-0@6"]
    assert await NotesInFile(path).read({A: 6}) == {A: StartNote(starts=3, size=8)}
    path.write_text("[1")
    assert read_set_aside(path) == []
    assert await NotesInFile(path).read({A: 5}) == {}
    assert await NotesInFile(tmp_path / "none" / "x").write(noted)


async def test_roles_that_write_at_once_have_a_file_each(tmp_path: Path) -> None:
    """Before it has its name, too."""
    for role in ("detector", "recorder"):
        (tmp_path / f"starts.{role}").mkdir()  # cannot be replaced: what was written stays
        await NotesInFile(tmp_path / f"starts.{role}").write({A: (1, StartNote(starts=1))})
    assert sorted(os.listdir(tmp_path)) == [
        "starts.detector",
        "starts.detector.new",
        "starts.recorder",
        "starts.recorder.new",
    ]


async def test_steps_work_with_a_file_as_with_metadata(tmp_path: Path) -> None:
    path, at = tmp_path / "starts.detector", 0
    for ends in range(7):
        steps = SmallSteps(NotesInFile(path))
        await steps.begin({A: at})
        while A in steps.again and at < 30:
            most = steps.records(A)
            if steps.starts(A) == SET_ASIDE:
                assert (ends, at) == (5, 27)
                return
            await steps.mark(A, 100)
            if at <= 27 < at + most:
                break
            at += most
            steps.passed({A: at})
    raise AssertionError("it is never set aside")
