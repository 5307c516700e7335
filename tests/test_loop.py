"""Circles after a trigger."""

from midcourse.guard.loop import Loops


def test_nothing_is_a_loop_before_something_was_withheld() -> None:
    loops = Loops(2)
    assert not any(loops.seen("Let me think about it.") for _ in range(9))


def test_a_withheld_step_is_a_loop_when_it_comes_back_in_other_dress() -> None:
    loops = Loops(3)
    loops.withheld("Let me PLAN this thing.")
    assert loops.seen(" let me plan  this thing!")


def test_other_steps_are_loops_at_the_limit_and_short_ones_never() -> None:
    loops = Loops(3)
    loops.withheld("Something else entirely.")
    assert [loops.seen("Let me think about it.") for _ in range(4)] == [False, False, True, True]
    assert not any(loops.seen("Hmm.") for _ in range(9))
