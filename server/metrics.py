"""What Prometheus sees. Default registry, so that these join an engine's own ``/metrics``.

Label sets are closed: outcomes, labels, triggers of the pool, adapters that an operator promoted. Never an id, a key or
a text.
"""

from dataclasses import asdict

from prometheus_client import Counter, Gauge, Histogram

from midcourse.guard.policy import Policy
from midcourse.guard.trace import Trace
from midcourse.guard.verdict import LABELS

NO_ADAPTER = "none"
MAX_ATTEMPT = 12  # the policy allows no more triggers; shadow mode may find more cues, which share a label
_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REQUESTS = Counter(
    "midcourse_requests_total",
    "Requests by route and outcome: ok, client_error, auth_error, overloaded, engine_error, server_error, cancelled.",
    ["route", "outcome"],
)
GENERATIONS = Counter(
    "midcourse_generations_total",
    "Guarded generations by mode and outcome of the trace, and by adapter.",
    ["mode", "outcome", "adapter"],
)
STREAMS = Gauge("midcourse_generations_running", "Guarded generations in flight.", multiprocess_mode="livesum")
INTERVENTIONS = Counter(
    "midcourse_interventions_total",
    "Interventions by rung of the ladder, cause, trigger and attempt; shadow is what would have happened.",
    ["phase", "rung", "cause", "trigger", "attempt", "mode"],
)
STEPS = Counter("midcourse_steps_total", "Judged steps by phase and label.", ["phase", "label"])
JUDGE_SECONDS = Histogram(
    "midcourse_judge_seconds", "From asking for a verdict until it came, queueing included.", buckets=_FAST
)
JUDGE_BATCH = Histogram(
    "midcourse_judge_batch_size", "Steps in one call of the judge.", buckets=(1, 2, 4, 8, 16, 32, 64, 128)
)
JUDGE_FAILURES = Counter(
    "midcourse_judge_failures_total",
    "Steps without a verdict by cause (error, deadline, overflow) and the policy that was applied (open, closed).",
    ["cause", "policy"],
)
JUDGE_PROMPTS = Counter(
    "midcourse_judge_prompts_total",
    "Prompts that the judge was to read ahead of their first step, by result: read, overtaken by that step, failed,"
    " dropped.",
    ["result"],
)
HOLD_SECONDS = Histogram(
    "midcourse_hold_seconds",
    "From asking for a verdict on a step until the verdict, or its absence, was acted on.",
    buckets=_FAST,
)
RESUME_SECONDS = Histogram(
    "midcourse_resume_seconds", "From a rewind until the first newly sampled token arrived.", buckets=_FAST
)
TOKENS = Counter(
    "midcourse_tokens_total",
    "Tokens by kind: prompt (once a choice), completion, reasoning, injected, withheld, discarded.",
    ["kind"],
)
TRACE_QUEUE = Gauge("midcourse_trace_queue_length", "Traces waiting for the writer.", multiprocess_mode="livesum")
TRACES = Counter("midcourse_traces_total", "Traces by fate: stored, spooled, replayed, rejected, dropped.", ["fate"])
RELOADS = Counter("midcourse_policy_reloads_total", "Policy reloads by result: ok, error.", ["result"])
ADAPTER = Gauge(
    "midcourse_adapter_info",
    "1 for the adapter that new generations take, 0 for those before; none is the base model.",
    ["adapter"],
    multiprocess_mode="max",
)
ADAPTER_LOADS = Counter(
    "midcourse_adapter_loads_total", "Adapters put in force while the server ran, by result: ok, error.", ["result"]
)
BUILD = Gauge(
    "midcourse_build_info",
    "Constant 1; the labels say what runs.",
    ["version", "model", "dialect", "judge", "policy"],
    multiprocess_mode="max",
)


def show_adapter(adapter: str | None, value: int) -> None:
    """Labels cannot be taken back where several processes are scraped as one, so what serves no more is 0."""
    ADAPTER.labels(adapter or NO_ADAPTER).set(value)


def observe(trace: Trace, policy: Policy) -> None:
    """Count a generation that is over, from its record: one place, so that metrics and traces cannot disagree."""
    GENERATIONS.labels(trace.mode, trace.outcome, trace.origin.adapter or NO_ADAPTER).inc()
    for kind, count in asdict(trace.usage).items():
        TOKENS.labels(kind).inc(count)
    for step in trace.steps:
        if step.scores:
            STEPS.labels(step.phase, max(LABELS, key=lambda name: step.scores[name])).inc()
        if step.failure:
            phase = policy.reasoning if step.phase == "reasoning" else policy.response
            JUDGE_FAILURES.labels(step.failure, phase.on_judge_error).inc()
    for record in trace.interventions:
        attempt = str(record.attempt) if record.attempt <= MAX_ATTEMPT else f"{MAX_ATTEMPT + 1}+"
        labels = (record.phase, record.rung, record.cause, record.trigger_id or "none", attempt)
        INTERVENTIONS.labels(*labels, trace.mode).inc()
