"""The completion as it stands: every delta of the current line, and the channel of each.

Knows where tokens end. A cut between tokens splits nothing; where a marker begins or ends inside a token, the text is
split and the ids stay with the second part (the first is *glued* to it), so that ids and text never disagree.
No I/O here.
"""

from collections.abc import Iterator
from dataclasses import replace

from midcourse.guard.delta import Channel, Delta, Piece


class Line:
    """Deltas in order, each on one channel. Places are indexes between deltas."""

    __slots__ = ("_glued", "channels", "deltas", "sent")

    def __init__(self) -> None:
        self.deltas: list[Delta] = []
        self.channels: list[Channel] = []
        self.sent = 0
        """Place up to which everything was released."""
        self._glued: set[int] = set()

    def __len__(self) -> int:
        return len(self.deltas)

    def append(self, delta: Delta, channel: Channel) -> None:
        self.deltas.append(delta)
        self.channels.append(channel)

    def ahead(self, start: int, chars: int) -> tuple[int, int]:
        """The place ``chars`` characters behind place ``start``, moved on to the end of the token it falls into.

        Text without ids is split at the very character.

        Returns:
            The place, and by how many characters it was moved.
        """
        place, left = self._seek(start, chars)
        if not left:
            return place, 0
        if self.deltas[place].token_ids:
            return place + 1, len(self.deltas[place].text) - left
        self._split(place, left)
        return place + 1, 0

    def exactly(self, start: int, chars: int) -> int:
        """The place ``chars`` characters behind place ``start``, splitting the text of a token where it must."""
        place, left = self._seek(start, chars)
        if left:
            self._split(place, left)
            place += 1
        return place

    def whole(self, start: int, chars: int) -> int:
        """The last place at most ``chars`` characters behind place ``start``; splits only text without ids."""
        place, left = self._seek(start, chars)
        if left and not self.deltas[place].token_ids:
            self._split(place, left)
            place += 1
        return place

    def label(self, start: int, end: int, channel: Channel) -> None:
        self.channels[start:end] = [channel] * (end - start)

    def text(self, start: int, end: int) -> str:
        return "".join(delta.text for delta in self.deltas[start:end])

    def ids(self, start: int, end: int) -> tuple[int, ...]:
        return tuple(token for delta in self.deltas[start:end] for token in delta.token_ids)

    def truncate(self, place: int) -> str:
        """Drop everything behind ``place``.

        Returns:
            The text before ``place`` whose token goes with what was dropped: it has to be spelled again.
        """
        first = place
        while first in self._glued:
            first -= 1
        carry = self.text(first, place)
        del self.deltas[place:], self.channels[place:]
        self._glued = {at for at in self._glued if at <= place}
        return carry

    def pieces(self, start: int, end: int) -> Iterator[Piece]:
        """What lies between two places: one piece a run of one channel and one author."""
        while start < end:
            stop = start + 1
            kind = (self.channels[start], self.deltas[start].forced)
            while stop < end and (self.channels[stop], self.deltas[stop].forced) == kind:
                stop += 1
            logprobs = tuple(d.logprobs for d in self.deltas[start:stop] if d.logprobs is not None)
            yield Piece(kind[0], self.text(start, stop), self.ids(start, stop), kind[1], logprobs)
            start = stop

    def send_last(self) -> Piece:
        """The last delta as a piece of its own: what ``pieces`` gives for it, without the search. Marks it as sent."""
        delta = self.deltas[-1]
        self.sent = len(self.deltas)
        logprobs = () if delta.logprobs is None else (delta.logprobs,)
        return Piece(self.channels[-1], delta.text, delta.token_ids, delta.forced, logprobs)

    def _seek(self, place: int, chars: int) -> tuple[int, int]:
        while chars > 0:
            length = len(self.deltas[place].text)
            if length > chars:
                return place, chars
            chars -= length
            place += 1
        return place, 0

    def _split(self, place: int, chars: int) -> None:
        delta = self.deltas[place]
        head = replace(delta, text=delta.text[:chars], token_ids=(), logprobs=None, finish_reason=None)
        self.deltas[place : place + 1] = [head, replace(delta, text=delta.text[chars:])]
        self.channels.insert(place, self.channels[place])
        self.sent += place < self.sent
        if delta.token_ids:
            self._glued.add(place + 1)
