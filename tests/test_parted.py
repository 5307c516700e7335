"""Texts that a server handed out unparted."""

import pytest

from midcourse.models.parted import TAGGED, parted


@pytest.mark.parametrize("tags", [dialect.prompt for dialect in TAGGED])
def test_the_closing_tag_parts_thought_and_answer_whether_or_not_the_opening_one_is_there(
    tags: tuple[tuple[str, object], ...],
) -> None:
    opening, closing = (literal for literal, _ in tags)
    for start in ("", opening, f"\n{opening}\n"):
        assert parted(f"{start}Two and two.\n{closing}\n\nFour.") == ("Two and two.", "Four.")
        assert parted(f"{start}{closing}Four.") == ("", "Four.")


def test_a_thought_that_was_cut_off_is_no_answer() -> None:
    assert parted("<think>\nTwo and") == ("Two and", "")
    assert parted("Two and two.</think>") == ("Two and two.", "")
    assert parted(" [THINK]Two") == ("Two", "")


def test_only_the_first_closing_tag_counts_and_a_tag_that_is_spoken_of_opens_nothing() -> None:
    assert parted("Hm.</think>Write </think> at the end.") == ("Hm.", "Write </think> at the end.")
    assert parted("The tag <think> opens it. ") == ("", "The tag <think> opens it. ")
    assert parted("") == ("", "")
