"""The ladder of an intervention: triggers, then a refusal, then the end. Pure. No I/O here.

| where            | triggers left | then                                                      |
|------------------|---------------|-----------------------------------------------------------|
| reasoning        | trigger       | close the reasoning and refuse                            |
| response         | trigger       | refuse if nothing of it is out, else end (content_filter) |
| no verdict came  | none is spent | as above                                                  |
"""

from midcourse.guard.phase import Phase
from midcourse.guard.policy import PhasePolicy
from midcourse.guard.trace import Cause, Rung


def climb(cause: Cause, phase: Phase, policy: PhasePolicy, spent: int, responded: bool) -> Rung:
    """The rung that comes next.

    Args:
        cause: why the step is withheld. A trigger does not mend a judge, so a failure skips those.
        phase: where the forced text would stand.
        policy: of that phase.
        spent: triggers spent in that phase.
        responded: whether some of the response has been released.
    """
    if cause != "judge_failed" and phase is not Phase.PROMPT and spent < policy.max_interventions:
        return "trigger"
    return "end" if responded and phase is not Phase.REASONING else "refuse"


def joint(withheld: str, before: str, optimistic: bool) -> str:
    """White space between what was kept and the trigger: that of the step whose place it takes.

    In optimistic mode the cut may lie inside a sentence that is out already, so the trigger opens a paragraph.
    """
    if not before or before[-1].isspace():
        return withheld[: len(withheld) - len(withheld.lstrip())]
    if optimistic:
        return "\n\n"
    return withheld[: len(withheld) - len(withheld.lstrip())] or " "
