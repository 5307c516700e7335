"""The four phases of a generation, as the guard sees them. The transitions are each dialect's table. No I/O here."""

from enum import Enum


class Phase(Enum):
    """Where in a completion we are."""

    PROMPT = "prompt"
    """Before the first word, or in the header between two messages: everything here is markup."""
    REASONING = "reasoning"
    RESPONSE = "response"
    DONE = "done"
