"""Which jobs go out next: packs, follow-ups, and what happens to those whose worker died."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelscribe.pipeline.guard import Done, Ended, Failed, Hopeless
from reelscribe.pipeline.schedule import AHEAD, LARGEST, WORTH, Died, Schedule

DIED = Died(how="took its worker process down, twice")


def done(pack: Sequence[int], seconds: float = 1.0) -> Ended[int, int]:
    return Ended(outcomes=[Done(job=job, result=10 * job) for job in pack], seconds=seconds)


def test_long_jobs_go_out_one_by_one_and_few_at_once() -> None:
    schedule: Schedule[int, int] = Schedule(range(100), workers=2)
    packs = [schedule.take() for _ in range(2 * AHEAD)]
    assert packs == [[0], [1], [2], [3]]
    assert schedule.take() == []
    assert [o.job for o in schedule.put(packs[1], done(packs[1]))] == [1]
    assert schedule.take() == [4]


def test_short_jobs_are_packed_so_that_a_pack_is_worth_its_start() -> None:
    schedule: Schedule[int, int] = Schedule(range(100_000), workers=1)
    for _ in range(30):
        pack = schedule.take()
        list(schedule.put(pack, done(pack, seconds=len(pack) * WORTH / 10)))
    assert len(schedule.take()) == 10
    for _ in range(60):
        pack = schedule.take()
        list(schedule.put(pack, done(pack, seconds=1e-9)))
    assert len(pack) == LARGEST


def test_jobs_are_read_no_faster_than_they_are_worked_off() -> None:
    """Complaint 25 (Ray#45661): the driver's memory grows with the number of records."""
    read = 0

    def jobs() -> Iterator[int]:
        nonlocal read
        while True:
            read += 1
            yield read

    schedule: Schedule[int, int] = Schedule(jobs(), workers=2)
    while schedule.take():
        pass
    # As many are out, and as many are held to know when the end is near.
    assert read <= 2 * 2 * AHEAD


def test_packs_shrink_towards_the_end() -> None:
    """No worker is left alone with a large pack while the others have nothing."""
    schedule: Schedule[int, int] = Schedule(range(100), workers=2)
    sizes, out = [], [schedule.take() for _ in range(2 * AHEAD)]
    while out:
        pack = out.pop(0)
        sizes.append(len(pack))
        list(schedule.put(pack, done(pack, seconds=len(pack) * WORTH / 10)))
        if pack := schedule.take():
            out.append(pack)
    assert sum(sizes) == 100
    assert max(sizes) == 10
    assert sizes[-2 * AHEAD :] == [1] * 2 * AHEAD
    assert schedule.finished


def test_what_an_outcome_asks_for_goes_first() -> None:
    def more(outcome: Done[int, int] | Failed[int]) -> Iterable[int]:
        return [outcome.job + 0, outcome.job + 1] if outcome.job == 100 else ()

    schedule: Schedule[int, int] = Schedule([1, 100, 2], workers=1, more=more)
    first = schedule.take()
    second = schedule.take()
    list(schedule.put(first, done(first)))
    waiting = schedule.take()
    assert (first, second, waiting) == ([1], [100], [2])
    list(schedule.put(second, done(second)))
    assert schedule.take() == [100]
    assert not schedule.finished


def test_a_job_that_takes_its_worker_down_is_tried_once_more_alone() -> None:
    schedule: Schedule[int, int] = Schedule([7, 8], workers=2, again=lambda job: -job)
    seven, eight = schedule.take(), schedule.take()
    assert list(schedule.put(seven, DIED)) == []
    assert schedule.take() == [], "not beside another"
    list(schedule.put(eight, done(eight)))
    last = schedule.take()
    assert last == [-7]
    assert schedule.take() == []
    assert list(schedule.put(last, DIED)) == [Failed(job=-7, reason=DIED.how, died=True)]
    assert schedule.finished


def test_of_a_pack_that_died_each_job_gets_a_pack_of_its_own() -> None:
    schedule: Schedule[int, int] = Schedule(range(20), workers=1)
    while len(pack := schedule.take()) < 5:
        list(schedule.put(pack, done(pack, seconds=len(pack) * WORTH / 10)))
    assert list(schedule.put(pack, DIED)) == []
    alone = [schedule.take() for _ in range(AHEAD)]
    assert alone == [[pack[0]], [pack[1]]]


def test_a_job_that_says_that_none_would_fare_better_ends_the_run() -> None:
    schedule: Schedule[int, int] = Schedule([1], workers=1)
    pack = schedule.take()
    with pytest.raises(Hopeless, match="the disk is full"):
        list(schedule.put(pack, Hopeless("the disk is full")))


@given(
    st.integers(0, 60), st.sets(st.integers(0, 59)), st.sets(st.integers(0, 59)), st.integers(1, 4)
)
def test_every_job_ends_once(count: int, dies: set[int], forks: set[int], workers: int) -> None:
    """Whatever dies and whatever asks for more: no job is lost, none is done twice, all ends."""

    def more(outcome: Done[int, int] | Failed[int]) -> Iterable[int]:
        return [1000 + outcome.job] if outcome.job in forks else ()

    schedule: Schedule[int, int] = Schedule(range(count), workers=workers, more=more)
    ended: dict[int, bool] = {}
    out: list[Sequence[int]] = []
    while not schedule.finished:
        while pack := schedule.take():
            out.append(pack)
        if not out:
            continue  # Only now is it known that there is nothing left.
        back = out.pop(0)
        fate = DIED if dies & set(back) else done(back, seconds=0.001)
        for outcome in schedule.put(back, fate):
            assert outcome.job not in ended
            ended[outcome.job] = isinstance(outcome, Done)
    begun = set(range(count))
    asked = {1000 + job for job in forks & begun}
    assert set(ended) == begun | asked
    assert {job for job, well in ended.items() if not well} == dies & begun
