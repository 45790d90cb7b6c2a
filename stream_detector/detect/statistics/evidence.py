"""What is remembered of good executions so that an anomaly can say what changed: their steps, commit and labels."""

from functools import lru_cache
from typing import Final
from zlib import crc32

from librt.strings import BytesWriter, read_f32_le, read_i64_le, write_f32_le, write_i64_le
from librt.vecs import append, vec
from mypy_extensions import i64, mypyc_attr, u8

from stream_detector.detect.codec.binary import f32, find_u32, ones, put_u16, put_u32, u16, u32
from stream_detector.detect.codec.crc32 import crc32_of
from stream_detector.detect.statistics.usual_time import UsualTime
from stream_detector.events import Completion, Step

STEPS: Final = 32
"""At most so many steps of a workflow are remembered; 16 bytes each. Beyond, a new one takes the place of one that no
longer runs: else a workflow whose steps are renamed over the years would be judged by those of its first day."""
SETS: Final = 4
"""So many different sets of steps are remembered, the latest ones; 15 bytes each."""
STABLE: Final = 30
"""Executions in a row in which the steps of a set came in the same order, until another order says anything."""
SAME, OTHER_SET, OTHER_ORDER = 0, 1, 2
"""What the steps of an execution are, compared with those remembered."""
_SET: Final = 15
_MOST_NEW: Final = 51
"""Of 255: where more than a fifth of the executions have a set that was not remembered, another one says nothing."""
_NAMES: Final = 512
"""Bytes of all names together; a step beyond them has none."""
_NAME: Final = 64
_LABEL: Final = 3
"""Bytes that say of a label how often its value is new: a hash of its name, and the share in 1/255."""
_MOSTLY_NEW: Final = 128
_ONCE: Final = 1.2
"""The mean deviation decays by a tenth an execution, a share that stays comes nearer by as much."""
_TAKEN_SPREAD: Final = 1 / 6
"""Of a share whose step has taken over a place: six of them are the whole, so that nothing is off until it has decayed,
after 16 executions."""
_LABELS: Final = 4
_COMMIT: Final = 12
_ID: Final = 40
_WEIGHT: Final = 0.1
"""Weight of the newest execution in a step's expected duration."""
_UUID: Final = 0xFF
"""Stands for the length of an id that is packed as a UUID."""
_SEPARATOR: Final = "\x1f"
_LONGEST: Final = 4_000
"""Names of this many characters at most are cached, 2,000 times: 8 MB, if a producer should want them full."""
_UUID_BYTE: Final = b"\xff"
_BEYOND: Final = 1 << 32
"""The bit of a place is this, shifted right: `1 << place` would be a shift of 32 bits, compiled, and negative for the
32nd step."""
_ALL_PLACES: Final[i64] = 0xFFFFFFFF
_ROW: Final = 4
_APART: Final = 30
"""An execution is kept that ends a row of so many without a sign of a shift, so many successes after the last."""
_KEPT: Final = 7
_HEAD: Final = 15
_MORE: Final = 5
_STEP: Final = 16


@mypyc_attr(acyclic=True)
class StepNames:
    """The names of some steps: a hash of all in their order, one in any order, and the hashes of each, 4 bytes."""

    __slots__ = ("hashes", "sequence", "together")

    def __init__(self, names: list[str], joined: str) -> None:
        self.sequence: i64 = crc32(joined.encode())
        self.together: i64 = crc32(_SEPARATOR.join(sorted(names)).encode())
        w = BytesWriter()
        for name in names:
            put_u32(w, crc32_of(name))
        self.hashes: bytes = w.getvalue()


_cached_names: Final = lru_cache(maxsize=2_000)(lambda joined: StepNames(joined.split(_SEPARATOR), joined))
"""They recur in every event: one look-up for all steps."""


def _names_of(steps: list[Step]) -> StepNames:
    names = [step.name for step in steps]
    joined = _SEPARATOR.join(names)
    # A name with the separator in it: other names may give the same text.
    if len(joined) > _LONGEST or joined.count(_SEPARATOR) >= len(names):
        return StepNames(names, joined)
    found: StepNames = _cached_names(joined)
    return found


@mypyc_attr(acyclic=True)
class ObservedSteps:
    """What is asked of an execution's steps, found once: it is judged and then learned.

    `total_s` is the time of all, `places` says where each lies in the evidence, -1 for one that is not known; `mask`
    has a bit for each place.
    """

    __slots__ = ("durations_s", "mask", "names", "places", "steps", "total_s")

    def __init__(self, steps: list[Step]) -> None:
        self.steps, self.names = steps, _names_of(steps)
        self.total_s: float = 0.0
        durations_s = vec[float](capacity=len(steps))
        for step in steps:
            given = step.duration_s
            duration_s: float = 0.0 if given is None else given
            durations_s = append(durations_s, duration_s)
            self.total_s += duration_s
        self.durations_s = durations_s
        self.places = vec[i64]()
        self.mask: i64 = 0


@mypyc_attr(acyclic=True)
class Good:
    """A good execution: its id (empty for one not kept), when it finished (0: there is none), commit and labels."""

    __slots__ = ("at_ms", "commit", "crcs", "id")

    def __init__(self, execution_id: str, at_ms: i64, commit: str, crcs: bytes) -> None:
        self.id, self.at_ms, self.commit, self.crcs = execution_id, at_ms, commit, crcs


@mypyc_attr(acyclic=True)
class Evidence:
    """The last good execution before whatever is wrong began, and each step's expected duration.

    `time` says which executions may belong to a shift already. A small or gradual one may go on for some dozen before
    it is suspected, so of the last good ones two are kept besides, 30 or more apart; of those that a small shift is
    compared with the older one. `_older` has both, the older one first.

    `columns` holds, each for all steps in the order in which they came: the names' hashes, the expected durations (s),
    the expected shares of all steps' time and their mean deviations, 4 bytes each. `names` has their names, each after
    its length. `sets` has of each remembered set of steps a hash, one of their order, how many they are (2 bytes), how
    often in a row the order was the same (1) and a bit for each place (4), the newest last. `new_sets` is the share of
    executions with a set that was not remembered, `_changing` that of each label's value.
    """

    __slots__ = (
        *("_changing", "_commit", "_crcs", "_good", "_id", "_labels", "_observed", "_older", "_row", "_since"),
        *("columns", "good_ms", "n", "names", "new_sets", "sets", "time"),
    )

    def __init__(self) -> None:
        self.good_ms: i64 = 0
        self.n: i64 = 0
        self.sets: bytes = b""
        self.new_sets: i64 = 0
        self.names: bytes = b""
        self._changing: bytes = b""
        self.columns: bytes = b""
        self._id: str | None = ""
        self._good: bytes = b""
        """The id of the last good execution as it was packed, where `_id` is None: most of the time nobody asks."""
        self._labels: dict[str, str] | None = None
        self._commit: bytes = b""
        self._crcs: bytes = b""
        self._observed: ObservedSteps | None = None
        self.time = UsualTime()
        self._older: bytes = b""
        self._row: i64 = 0
        self._since: i64 = 0

    @property
    def good_id(self) -> str:
        """The id of the last good execution; empty for one of more than 40 characters, or beyond ASCII."""
        if self._id is not None:
            return self._id if _is_kept(self._id) else ""
        return _unpacked_id(self._good)

    def learn(self, event: Completion, finished_ms: i64, duration_s: float = 0.0, calm: bool = True) -> None:
        """Remember a good execution; what others are compared with is left alone by one that may belong to a shift.

        Args:
            duration_s: 0 where none was recorded.
            calm: whether nothing else is wrong.
        """
        time = self.time
        if duration_s:
            time.learn(duration_s)
            if not time.n:  # what was slow is usual now
                self.accept()
        else:
            time.z = 0.0
        usual = calm and not time.is_suspected
        if usual:
            self._id = event.execution_id
            self.good_ms = finished_ms
            self._pack_labels()
            self._labels = event.labels
        if time.n:  # else none of this is packed
            self._since = min(self._since + 1, 0xFF)
            self._row = min(self._row + 1, _ROW) if usual and not time.excess else 0
            if self._row == _ROW and self._since >= _APART:
                self._keep(event.execution_id)
        steps = event.steps
        if steps:
            self._learn_steps(self.observe(steps), usual)
            self._observed = None

    def accept(self) -> None:
        """What executions take now is their usual time: from before a shift there is nothing."""
        self.time.restart()
        self._older = b""
        self._row = self._since = 0

    def _keep(self, execution_id: str) -> None:
        """The last good execution, which has that id, after the one that was kept before it."""
        older = self._older
        if older:
            first = _KEPT + _size_of_id(i64(older[4])) + i64(older[5]) + 4 * i64(older[6])
            older = older[first:] if first < len(older) else older
        self._pack_labels()
        self._good, self._id = _packed_id(execution_id), None
        w = BytesWriter()
        w.write(older)
        put_u32(w, self.good_ms // 1000)
        w.append(u8(self._good[0] if self._good else 0))
        w.append(u8(len(self._commit)))
        w.append(u8(len(self._crcs) // 4))
        w.write(self._good[1:])
        w.write(self._commit)
        w.write(self._crcs)
        self._older, self._since = w.getvalue(), 0

    def rewind(self, at_ms: i64) -> None:
        """Date no good execution after `at_ms`."""
        self.good_ms = min(self.good_ms, at_ms)
        older, at = self._older, i64(0)
        while at < len(older):
            if u32(older, at) > at_ms // 1000:
                self._older = older[:at]
                return
            at += _KEPT + _size_of_id(i64(older[at + 4])) + i64(older[at + 5]) + 4 * i64(older[at + 6])

    @property
    def last_good(self) -> Good:
        """The last good execution; it may belong to a shift that is small or gradual."""
        self._pack_labels()
        return Good(self.good_id, self.good_ms, self._commit.decode(), self._crcs)

    def good_before(self, duration_s: float) -> Good:
        """A good execution from before the shift that one of that duration (s, more than 0) may belong to."""
        older = self._older
        if not older or self.time.is_abrupt(duration_s):
            return self.last_good
        end = _KEPT + _size_of_id(i64(older[4]))
        execution_id = older[4:5] + older[_KEPT:end]
        commit_end = end + i64(older[5])
        return Good(
            _unpacked_id(execution_id),
            u32(older, 0) * 1000,
            older[end:commit_end].decode(),
            older[commit_end : commit_end + 4 * i64(older[6])],
        )

    def observe(self, steps: list[Step]) -> ObservedSteps:
        """What is asked of these steps."""
        seen = self._observed
        if seen is not None and seen.steps is steps:
            return seen
        seen = self._observed = ObservedSteps(steps)
        hashes, known = seen.names.hashes, len(self.columns) // _STEP
        in_order = len(steps) <= known and self.columns.startswith(hashes)  # as most are: nothing is looked for
        places = vec[i64](capacity=len(steps))
        place: i64 = 0
        while place < len(steps):
            at = place if in_order else self._place(u32(hashes, 4 * place))
            if at >= 0:
                seen.mask |= _BEYOND >> STEPS - at
            places = append(places, at)
            place += 1
        seen.places = places
        return seen

    def _learn_steps(self, seen: ObservedSteps, usual: bool) -> None:
        self.n = min(self.n + 1, 0xFFFF)
        if not self.names and self.columns:  # begun by a layout that knew no names
            self.names = self._names_of(seen)
        if len(self.columns) == STEPS * _STEP:
            self._make_room(seen)
        mask = seen.mask
        columns, places, total_s = self.columns, seen.places, seen.total_s
        known: i64 = len(columns) // _STEP
        expected_s, shares, spreads = vec[float](capacity=known), vec[float](capacity=known), vec[float](capacity=known)
        at: i64 = 0
        while at < known:
            expected_s = append(expected_s, read_f32_le(columns, 4 * (known + at)))
            shares = append(shares, read_f32_le(columns, 4 * (2 * known + at)))
            spreads = append(spreads, read_f32_le(columns, 4 * (3 * known + at)))
            at += 1
        new: list[i64] = []
        learned: i64 = 0  # a bit for each place
        index: i64 = 0
        while index < len(places):
            at, duration_s = places[index], seen.durations_s[index]
            share = duration_s / total_s if duration_s else 0.0
            if at < 0:
                crc = u32(seen.names.hashes, 4 * index)
                if crc in new:
                    at = known + new.index(crc)
                elif known + len(new) < STEPS:
                    at = known + len(new)
                    new.append(crc)
                    expected_s, shares = append(expected_s, duration_s), append(shares, share)
                    spreads = append(spreads, 0.0)
                    learned |= _BEYOND >> STEPS - at
                    self.names += self._packed_name(seen.steps[index].name)
                    mask |= _BEYOND >> STEPS - at
            if at >= 0 and duration_s:
                if learned >> at & 1:  # a second step of that name: as if the first had been written down
                    expected_s[at], shares[at], spreads[at] = f32(expected_s[at]), f32(shares[at]), f32(spreads[at])
                learned |= _BEYOND >> STEPS - at
                if not expected_s[at]:  # its first duration
                    expected_s[at], shares[at] = duration_s, share
                if usual:
                    expected_s[at] += _WEIGHT * (duration_s - expected_s[at])
                off = share - shares[at]
                shares[at] += _WEIGHT * off
                spreads[at] += _WEIGHT * (abs(off) - spreads[at])
            index += 1
        w = BytesWriter()
        w.write(columns[: 4 * known])
        for crc in new:
            put_u32(w, crc)
        for column in (expected_s, shares, spreads):
            for number in column:
                write_f32_le(w, number)
        self.columns = w.getvalue()
        self._remember_set(seen, mask)

    def _make_room(self, seen: ObservedSteps) -> None:
        """Give these steps the places of some that no longer run; the next thing is that they are learned."""
        free: i64 = self._free_places(seen)
        taken: list[tuple[i64, i64]] = []  # places taken over, with the hashes of their new steps
        places = seen.places
        index: i64 = 0
        while free and index < len(places):
            if places[index] < 0:
                crc = u32(seen.names.hashes, 4 * index)
                at = _place_among(taken, crc)
                if at < 0:
                    at = ones((free & -free) - 1)
                    free &= free - 1
                    taken.append((at, crc))
                    self._rename(at, seen.steps[index].name)
                    seen.mask |= _BEYOND >> STEPS - at
                places[index] = at
            index += 1
        if taken:
            seen.places = places
            self.columns = _taken_over(self.columns, taken)
            self._give_up(taken)

    def _give_up(self, taken: list[tuple[i64, i64]]) -> None:
        """The remembered sets have these places no longer."""
        left = _ALL_PLACES
        for place, _ in taken:
            left &= ~(_BEYOND >> STEPS - place)
        w = BytesWriter()
        at: i64 = 0
        while at < len(self.sets):
            w.write(self.sets[at : at + 11])
            put_u32(w, u32(self.sets, at + 11) & left)
            at += _SET
        self.sets = w.getvalue()

    def _remember_set(self, seen: ObservedSteps, mask: i64) -> None:
        """The newest comes last, and once."""
        sets, together, order = self.sets, seen.names.together, seen.names.sequence
        newest: i64 = len(sets) // _SET - 1
        place = self._set_of(together)
        stable: i64 = 0
        if place >= 0:
            at = _SET * place
            if u32(sets, at + 4) == order:
                stable = min(i64(sets[at + 10]) + 1, STABLE)
            is_known = place == newest and stable == STABLE == i64(sets[at + 10]) and not self.new_sets
            if is_known and u32(sets, at + 11) == mask:
                return  # as most are
            sets = sets[:at] + sets[at + _SET :]
            self.new_sets -= (self.new_sets + 15) >> 4
        elif newest >= 0:
            self.new_sets += (255 - self.new_sets) >> 4
        w = BytesWriter()
        w.write(sets[-_SET * (SETS - 1) :])
        put_u32(w, together)
        put_u32(w, order)
        put_u16(w, min(len(seen.steps), 0xFFFF))
        w.append(u8(stable))
        put_u32(w, mask)
        self.sets = w.getvalue()

    def _free_places(self, seen: ObservedSteps) -> i64:
        """A bit for each place that a new step may take: of a step that is neither here nor in any remembered set.

        Where there is none, also of steps of the older sets, once the same set comes twice in a row; of sets that
        alternate, none loses its steps to the other.
        """
        sets, used = self.sets, seen.mask
        at: i64 = 0
        while at < len(sets):
            used |= u32(sets, at + 11)
            at += _SET
        if used == _ALL_PLACES and sets and u32(sets, len(sets) - _SET) == seen.names.together:
            used = seen.mask
        return ~used & _ALL_PLACES

    def _set_of(self, together: i64) -> i64:
        """Which of the remembered sets has that hash; -1 for none."""
        place: i64 = 0
        count: i64 = len(self.sets) // _SET
        while place < count:
            if u32(self.sets, _SET * place) == together:
                return place
            place += 1
        return -1

    def compare(self, seen: ObservedSteps) -> int:
        """`OTHER_SET`, `OTHER_ORDER` or, where neither says anything, `SAME`."""
        if not self.sets:
            return SAME
        place = self._set_of(seen.names.together)
        if place < 0:
            return OTHER_SET if self.new_sets <= _MOST_NEW else SAME
        at = _SET * place
        moved = u32(self.sets, at + 4) != seen.names.sequence and i64(self.sets[at + 10]) >= STABLE
        return OTHER_ORDER if moved else SAME

    def nearest_set(self, seen: ObservedSteps) -> tuple[int, int]:
        """Of the remembered set that differs least, the newest of equals: how many steps, and a bit for each place."""
        count: i64 = 0
        mask: i64 = 0
        least: i64 = STEPS + 1
        at: i64 = 0
        while at < len(self.sets):
            here = u32(self.sets, at + 11)
            if ones(here ^ seen.mask) <= least:
                count, mask, least = u16(self.sets, at + 8), here, ones(here ^ seen.mask)
            at += _SET
        return int(count), int(mask)

    def missing(self, seen: ObservedSteps) -> list[str]:
        """The steps of the nearest set that are not here, as far as their names are known."""
        gone = self.nearest_set(seen)[1] & ~int(seen.mask)
        return [name for place, name in enumerate(self._unpacked_names()) if gone >> place & 1 and name]

    def new(self, seen: ObservedSteps) -> list[str]:
        """The steps that are not in the nearest set; none where not all of its steps are remembered."""
        count, mask = self.nearest_set(seen)
        if ones(mask) < min(count, STEPS + 1):
            return []
        found: list[str] = []
        index: i64 = 0
        while index < len(seen.places):
            at, name = seen.places[index], seen.steps[index].name
            if (at < 0 or not mask >> int(at) & 1) and name not in found:
                found.append(name)
            index += 1
        return found

    def is_known(self, name: str) -> bool:
        """Whether a step is remembered, or is one of a set that has more than can be."""
        if self._place(crc32_of(name)) >= 0:
            return True
        at: i64 = 0
        while at < len(self.sets):
            if ones(u32(self.sets, at + 11)) < u16(self.sets, at + 8):
                return True
            at += _SET
        return False

    def _rename(self, place: i64, name: str) -> None:
        """Give the step of that place another name."""
        begin: i64 = 0
        while place and begin < len(self.names):
            begin += 1 + i64(self.names[begin])
            place -= 1
        rest = self.names[begin + 1 + i64(self.names[begin]) :] if begin < len(self.names) else b""
        self.names = self.names[:begin] + rest
        self.names = self.names[:begin] + self._packed_name(name) + rest

    def _packed_name(self, name: str) -> bytes:
        raw = name.encode()[:_NAME].decode(errors="ignore").encode()
        if len(self.names) + len(raw) >= _NAMES:
            raw = b""
        return bytes([len(raw)]) + raw

    def _names_of(self, seen: ObservedSteps) -> bytes:
        """The names of the known places, as far as these steps have them."""
        by_place: dict[int, str] = {}
        index: i64 = 0
        while index < len(seen.places):
            by_place[int(seen.places[index])] = seen.steps[index].name
            index += 1
        for place in range(len(self.columns) // _STEP):
            self.names += self._packed_name(by_place.get(place, ""))
        return self.names

    def _unpacked_names(self) -> list[str]:
        found, at, names = [], 0, self.names
        while at < len(names):
            end = at + 1 + names[at]
            found.append(names[at + 1 : end].decode())
            at = end
        return found

    def _place(self, crc: i64) -> i64:
        """Where the step of that hash lies, -1 if it is not known."""
        return find_u32(self.columns, len(self.columns) // _STEP, crc)

    def furthest(self, seen: ObservedSteps, least: float, spreads: float) -> i64:
        """Which step's share is furthest off: by `least` or more, and above `spreads` mean deviations; -1 for none."""
        columns, total_s = self.columns, seen.total_s
        known: i64 = len(columns) // _STEP
        found: i64 = -1
        index: i64 = 0
        furthest = 0.0
        while index < len(seen.places):
            at = seen.places[index]
            if at >= 0 and read_f32_le(columns, 4 * (known + at)):
                off = abs(seen.durations_s[index] / total_s - read_f32_le(columns, 4 * (2 * known + at)))
                if off >= least and off > furthest and off > spreads * read_f32_le(columns, 4 * (3 * known + at)):
                    furthest, found = off, index
            index += 1
        return found

    def accept_shares(self, seen: ObservedSteps, least: float, spreads: float) -> None:
        """Shares that `furthest` would report are not reported again: their mean deviation is a part of that.

        Of steps that take more of the time others take less, so all of them are, and not the furthest alone.
        """
        known: i64 = len(self.columns) // _STEP
        column = [read_f32_le(self.columns, 4 * (3 * known + place)) for place in range(int(known))]
        index: i64 = 0
        while index < len(seen.places):
            at = int(seen.places[index])
            if at >= 0:
                share = seen.durations_s[index] / seen.total_s
                off = abs(share - read_f32_le(self.columns, 4 * (2 * known + at)))
                if off >= least:
                    column[at] = max(off / spreads * _ONCE, column[at])
            index += 1
        w = BytesWriter()
        w.write(self.columns[: 12 * known])
        for spread in column:
            write_f32_le(w, spread)
        self.columns = w.getvalue()

    def expected_share(self, name: str) -> tuple[float, float] | None:
        """The step's expected share of all steps' time, and its mean absolute deviation."""
        at, known = self._place(crc32_of(name)), len(self.columns) // _STEP
        if at < 0:
            return None
        return read_f32_le(self.columns, 4 * (2 * known + at)), read_f32_le(self.columns, 4 * (3 * known + at))

    def expected_step_s(self, name: str) -> float | None:
        """The step's expected duration in seconds; None where it is not known."""
        at, known = self._place(crc32_of(name)), len(self.columns) // _STEP
        expected_s = read_f32_le(self.columns, 4 * (known + at)) if at >= 0 else 0.0
        return expected_s or None

    def new_labels(self, labels: dict[str, str], good: Good) -> list[str]:
        """The names of the labels, commit aside, whose value was not among those of a good execution.

        Not those whose value is new in most executions, as a build's number.
        """
        if not good.crcs:
            return []
        known = len(good.crcs) // 4
        return [
            name
            for name in _compared(labels)
            if find_u32(good.crcs, known, _hash_of_label(name, labels[name])) < 0
            and self._changing_of(crc32_of(name) & 0xFFFF) < _MOSTLY_NEW
        ]

    def _changing_of(self, name: i64) -> i64:
        """How often a label's value is new, of 255; 0 for one that is not known."""
        at: i64 = 0
        while at < len(self._changing):
            if u16(self._changing, at) == name:
                return i64(self._changing[at + 2])
            at += _LABEL
        return 0

    def _pack_labels(self) -> None:
        """Shorten the labels of the last good execution to what is kept: when they are packed, or asked for."""
        labels = self._labels
        if labels is None:
            return
        before = self._crcs
        self._labels, self._commit, self._crcs = None, b"", b""
        if labels:
            commit = labels.get("commit")
            if commit is not None:  # no character is cut through
                self._commit = commit.encode()[:_COMMIT].decode(errors="ignore").encode()
            values = BytesWriter()
            for name in _compared(labels):
                put_u32(values, _hash_of_label(name, labels[name]))
            self._crcs = values.getvalue()
            # Most executions have the labels of the one before, and no share: then neither is written (300 of 3,580
            # instructions an event).
            if before and (self._changing or self._crcs != before):
                self._changing = self._changed_since(before, labels)

    def _changed_since(self, before: bytes, labels: dict[str, str]) -> bytes:
        """How often each label's value is new, after one execution more; a label without an entry never was."""
        changing = BytesWriter()
        known: i64 = len(before) // 4
        for name in _compared(labels):
            key = i64(crc32_of(name)) & 0xFFFF
            share = self._changing_of(key)
            is_new = find_u32(before, known, _hash_of_label(name, labels[name])) < 0
            share += (255 - share) >> 3 if is_new else -((share + 7) >> 3)
            if share:
                put_u16(changing, key)
                changing.append(u8(share))
        return changing.getvalue()

    @property
    def has_more(self) -> bool:
        """Whether it keeps what layout 2 did not know."""
        self._pack_labels()
        return len(self.sets) > 0 or len(self._changing) > 0

    def pack(self, w: BytesWriter, more: bool = True, timed: bool = True) -> None:
        """Write what `fill` reads: at most 83 bytes, and 16 a step; with `more` 5, 15 a set, the names, 3 a label.

        With `timed` 34, and 75 at most for each of two executions.
        """
        self._pack_labels()
        if self._id is not None:
            self._good, self._id = _packed_id(self._id), None
        write_i64_le(w, self.good_ms)
        put_u16(w, self.n)
        w.append(u8(0))  # of layout 2: hashes of sequences
        w.append(u8(self._good[0] if self._good else 0))
        w.append(u8(len(self._commit)))
        w.append(u8(len(self._crcs) // 4))
        w.append(u8(len(self.columns) // _STEP))
        w.write(self._good[1:])
        w.write(self._commit)
        w.write(self._crcs)
        w.write(self.columns)
        if more:
            w.append(u8(len(self.sets) // _SET))
            w.append(u8(len(self._changing) // _LABEL))
            w.append(u8(self.new_sets))
            put_u16(w, len(self.names))
            w.write(self.sets)
            w.write(self._changing)
            w.write(self.names)
        if timed:
            self.time.pack(w)
            w.append(u8(self._row))
            w.append(u8(self._since))
            w.append(u8(len(self._older)))
            w.write(self._older)

    def fill(self, packed: bytes, at: i64, more: bool = True, timed: bool = True) -> i64:
        """Become what was packed, from `at` on; returns where it ends."""
        self._labels = self._observed = None
        self.good_ms, self.n = read_i64_le(packed, at), u16(packed, at + 8)
        begin = at + _HEAD
        end = begin + _size_of_id(i64(packed[at + 11]))
        self._id, self._good = None, packed[at + 11 : at + 12] + packed[begin:end]
        begin, end = end, end + i64(packed[at + 12])
        self._commit = packed[begin:end]
        begin, end = end, end + 4 * i64(packed[at + 13])
        self._crcs = packed[begin:end]
        begin = end + 4 * i64(packed[at + 10])
        end = begin + _STEP * i64(packed[at + 14])
        self.columns = packed[begin:end]
        if more:
            end = self._fill_more(packed, end)
        else:
            self.sets = self.names = self._changing = b""
            self.new_sets = 0
        if not timed:
            self.accept()
            return end
        end = self.time.fill(packed, end)
        self._row, self._since = i64(packed[end]), i64(packed[end + 1])
        begin = end + 3
        end = begin + i64(packed[end + 2])
        self._older = packed[begin:end]
        return end

    def _fill_more(self, packed: bytes, end: i64) -> i64:
        sets, labels, names = i64(packed[end]), i64(packed[end + 1]), u16(packed, end + 3)
        self.new_sets = i64(packed[end + 2])
        begin = end + _MORE
        end = begin + _SET * sets
        self.sets = packed[begin:end]
        begin, end = end, end + _LABEL * labels
        self._changing = packed[begin:end]
        begin, end = end, end + names
        self.names = packed[begin:end]
        return end


def _place_among(taken: list[tuple[i64, i64]], crc: i64) -> i64:
    for at, known in taken:
        if known == crc:
            return at
    return -1


def _taken_over(columns: bytes, taken: list[tuple[i64, i64]]) -> bytes:
    """The columns of 32 steps with other steps in these places, of which nothing has been learned yet."""
    w = BytesWriter()
    place: i64 = 0
    while place < 4 * STEPS:
        column, at = place // STEPS, place % STEPS
        crc: i64 = -1
        for where, other in taken:
            if where == at:
                crc = other
        if crc < 0:
            w.write(columns[4 * place : 4 * place + 4])
        elif column == 0:
            put_u32(w, crc)
        else:
            write_f32_le(w, _TAKEN_SPREAD if column == 3 else 0.0)
        place += 1
    return w.getvalue()


def _packed_id(execution_id: str) -> bytes:
    """The id with its length before it: a UUID in its usual form takes 16 bytes, and none is kept of a long one."""
    if not _is_kept(execution_id):
        return b""
    raw = execution_id.encode()
    w = BytesWriter()
    if len(raw) == 36:
        w.append(u8(_UUID))
        at: i64 = 0
        while at < 36:
            if at == 8 or at == 13 or at == 18 or at == 23:
                if raw[at] != 0x2D:
                    break
                at += 1
            high, low = _digit(i64(raw[at])), _digit(i64(raw[at + 1]))
            if high < 0 or low < 0:
                break
            w.append(u8(high << 4 | low))
            at += 2
        if at == 36:
            return w.getvalue()
        w = BytesWriter()
    w.append(u8(len(raw)))
    w.write(raw)
    return w.getvalue()


def _is_kept(execution_id: str) -> bool:
    return len(execution_id) <= _ID and execution_id.isascii()


def _digit(character: i64) -> i64:
    """The value of a hexadecimal digit, in small letters as a UUID is usually written; -1 for anything else."""
    if 0x30 <= character <= 0x39:
        return character - 0x30
    return character - 0x57 if 0x61 <= character <= 0x66 else -1


def _size_of_id(length: i64) -> i64:
    return 16 if length == _UUID else length


def _unpacked_id(short: bytes) -> str:
    if short[:1] != _UUID_BYTE:
        return short[1:].decode()
    digits = short[1:].hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _hash_of_label(name: str, value: str) -> i64:
    """The hash of a label.

    >>> _hash_of_label("branch", "main") == crc32(b"branch\\x1fmain")
    True
    """
    return crc32_of(f"{name}{_SEPARATOR}{value}")


def _compared(labels: dict[str, str]) -> list[str]:
    names = [name for name in labels if name != "commit"]
    names.sort()
    del names[_LABELS:]
    return names
