"""The data card of a folder of pairs: what is in it, where it comes from, what was left out. Knows words, no files."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from midcourse.train.pair import Pair
from midcourse.train.pairs import BENIGN_REASONS, REASONS, SPLITS, Split

COLUMNS = {
    "prompt, chosen, rejected": "text, special tokens shown: the rendered request with the shared reasoning; the "
    "trigger and what the model made of it; the cue and what the model was making of that",
    "prompt_ids, chosen_ids, rejected_ids": "the token ids that were read and generated; train on these",
    "prefix_tokens": "the last so many of `prompt_ids` are the shared reasoning",
    "forced_tokens": "the first so many of `chosen_ids` are the trigger's: forced, not sampled",
    "reasoning_tokens": "the first so many of `chosen_ids` are reasoning; then come end mark and response",
    "chosen_finished, rejected_finished": "the model ended that side; its end-of-text token is not among the ids",
    "chosen_end, rejected_end": "that token, where the engine told it",
    "sha256": "of the three lists of ids, when they were taken from the trace, or completed since",
    "completed_tokens": "the last so many of `rejected_ids` were generated later, without a guard",
    "tried": "the chosen side was generated later, behind another trigger, at this try; 0: while serving",
    "refused": "the chosen side is what the client got where the guard refused; nothing of it is set apart as forced",
    "id, trace_id, request, trigger_id, cause, model, adapter, dialect, judge, policy, created, messages, sampling, "
    "approved_by, approved_rule": "where the pair comes from, and what completing its rejected side takes",
}


class About(NamedTuple):
    """What a folder of pairs is made of: how that is said, what each pair comes from, and why others gave none."""

    title: str
    says: tuple[str, ...]
    of: str
    reasons: Mapping[str, str]


ABOUT = {
    "interventions": About(
        "# Preference pairs from interventions\n",
        (
            "Each pair is one intervention of midcourse. *rejected*: a step of reasoning that turned towards",
            "complying, with what followed; *chosen*: the safety trigger that took its place, with the model's own",
            "continuation. Both follow one prefix.",
        ),
        "interventions",
        REASONS,
    ),
    "benign": About(
        "# Preference pairs against over-refusal\n",
        (
            "Each pair is one thought about a request that was taken for harmless. *chosen*: how the model went on by",
            "itself; *rejected*: caution that nobody needed. Both follow one prefix.",
        ),
        "traces",
        BENIGN_REASONS,
    ),
}
"""By ``kind`` of the facts."""


def card(pairs: Mapping[Split, Sequence[Pair]], facts: Mapping[str, Any]) -> str:
    """Markdown with the header that ``datasets.load_dataset(folder)`` reads."""
    every = [pair for split in SPLITS for pair in pairs[split]]
    about = ABOUT[facts.get("kind", "interventions")]
    reasons = [(name, [n, about.reasons[name]]) for name, n in facts["dropped"].items()]
    parts = [
        _header(pairs),
        about.title,
        "> Contains requests for harm and the beginnings of answers to them, quoted from traffic. Keep it as you keep",
        "> the traces that it was made of.\n",
        *about.says,
        "Format: TRL's preference format (explicit prompt), with token ids.\n",
        _table("split", ["pairs", "requests"], _splits(pairs)),
        _table("tokens", ["median", "longest"], _lengths(every)),
        "## Columns\n",
        *[f"- `{'`, `'.join(names.split(', '))}`: {says}." for names, says in COLUMNS.items()],
        *_broken(every),
        "## Where it comes from\n",
        *_origins(every, facts),
        "\n## What was left out\n",
        f"Of {facts['interventions']} {about.of} in {facts['traces']} approved traces, {len(every)} became pairs.\n",
        _table("reason", [about.of, "meaning"], reasons),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _header(pairs: Mapping[Split, Sequence[Pair]]) -> str:
    files = [f"  - split: {split}\n    path: {split}.parquet" for split in SPLITS if pairs[split]]
    return "\n".join(["---", "configs:", "- config_name: default", "  data_files:", *files, "tags:", "- trl", "---\n"])


def _splits(pairs: Mapping[Split, Sequence[Pair]]) -> list[tuple[str, list[Any]]]:
    return [(split, [len(pairs[split]), len({pair.request for pair in pairs[split]})]) for split in SPLITS]


def _lengths(pairs: Sequence[Pair]) -> list[tuple[str, list[Any]]]:
    found = []
    for name in ("prompt", "chosen", "rejected"):
        lengths = sorted(len(getattr(pair, f"{name}_ids")) for pair in pairs)
        found.append((name, [f"{median(lengths):g}", lengths[-1]]))
    return found


def _origins(pairs: Sequence[Pair], facts: Mapping[str, Any]) -> list[str]:
    lines = [f"- made by `{facts['command']}` on {facts['date']}, midcourse {facts['midcourse']}"]
    lines += [f"- from `{source['file']}`, SHA-256 `{source['sha256']}`" for source in facts["sources"]]
    lines += _rolled_out(facts)
    lines += _compared(facts)
    lines.append(f"- chosen sides judged by {facts['judge']}, threshold {facts['wish']['threshold']}")
    approvals = (f"{p.approved_by}, rule {p.approved_rule}" if p.approved_rule else p.approved_by for p in pairs)
    for title, values in (
        ("models", (f"{pair.model} + {pair.adapter}" if pair.adapter else pair.model for pair in pairs)),
        ("cut by the judge", (pair.judge for pair in pairs)),
        ("policies", (pair.policy for pair in pairs)),
        ("triggers", (pair.trigger_id for pair in pairs)),
        ("approved by", approvals),
    ):
        lines.append(f"- {title}: {_counted(values)}")
    return lines


def _broken(pairs: Sequence[Pair]) -> list[str]:
    """What became of the rejected sides, which the guard had broken off, and what was not generated while serving."""
    short = sum(not pair.rejected_finished and not pair.completed_tokens for pair in pairs)
    longer = sum(pair.completed_tokens > 0 for pair in pairs)
    lines = (
        [f"\n{short} rejected sides were broken off where the guard stopped them, and are short.\n"] if short else []
    )
    if longer:
        lines.append(f"\n{longer} were completed later, offline, without a guard; their hashes are new.\n")
    tried = sum(pair.tried > 0 for pair in pairs)
    if tried:
        lines.append(f"\n{tried} chosen sides were generated later, offline, behind another trigger at the same cut.\n")
    refused = sum(pair.refused for pair in pairs)
    if refused:
        lines.append(f"\n{refused} chosen sides end in the guard's own refusal, since nothing better was found.\n")
    return lines


def _rolled_out(facts: Mapping[str, Any]) -> list[str]:
    return [
        f"- completed by `{told['command']}` on {told['date']} from `{told['source']}`, SHA-256 of its pairs.json "
        f"`{told['sha256']}`: {told['completed']} rejected sides, {told['finished']} of them to their end, "
        f"{told['tokens']} tokens"
        for told in facts.get("rollouts", ())
    ]


def _compared(facts: Mapping[str, Any]) -> list[str]:
    """With which evaluations; which requests were left out is in pairs.json."""
    return [
        f"- compared with {sum(told['items'].values())} items of {', '.join(told['items'])} on {told['date']}: "
        f"{len(told['leaks'])} requests left out"
        for told in facts.get("decontaminated", ())
    ] or ["- compared with no evaluation: what was measured may be in it"]


def _counted(values: Iterable[str]) -> str:
    return ", ".join(f"{value} ({n})" for value, n in Counter(values).most_common())


def _table(first: str, columns: Sequence[str], rows: Iterable[tuple[str, list[Any]]]) -> str:
    lines = [f"| {first} | {' | '.join(columns)} |", f"|{'---|' * (len(columns) + 1)}"]
    lines += [f"| {name} | {' | '.join(map(str, values))} |" for name, values in rows]
    return "\n".join(lines) + "\n"
