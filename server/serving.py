"""Runs a call and writes its answer, as a stream or in one piece.

Knows the order of things: opening, text, finish, usage, done. Refuses to know the shape of a route, and any rule.
"""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial

import structlog
from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.responses import Response

from midcourse.guard.delta import Piece
from midcourse.guard.trace import Trace
from midcourse.server.annotation import intervention_note, summary_note, usage_of
from midcourse.server.driver import Event, Finished, Job, Notice
from midcourse.server.errors import EngineError
from midcourse.server.fan import Fan
from midcourse.server.intake import Call
from midcourse.server.replies import ClientGone, error_body, refusal_of
from midcourse.server.report import Report, report_of
from midcourse.server.service import Service, service_of
from midcourse.server.shape import Choice, Json, Shape
from midcourse.server.sse import EventStream, Sink, unless_gone

log = structlog.get_logger(__name__)
KEEPALIVE = ": keep-alive\n\n"


async def answer(request: Request, call: Call, shape: Shape) -> Response:
    """The response to a call."""
    service, report = service_of(request), report_of(request.scope)
    report.id = call.id
    headers = {"X-Midcourse-Mode": call.policy.mode, "X-Midcourse-Policy": call.policy.hash}
    if call.stream:
        return EventStream(partial(_stream, service, call, shape, report), headers)
    body = await unless_gone(request.receive, _whole(service, call, shape, report))
    return JSONResponse(body, headers=headers)


async def _whole(service: Service, call: Call, shape: Shape, report: Report) -> Json:
    choices = [Choice() for _ in call.jobs]
    notes: list[list[Json]] = [[] for _ in call.jobs]
    traces: list[Trace] = []
    with service.gate.enter(len(call.jobs)) as slots:
        async with Fan[Job, Event](service.driver.run, call.jobs, slots) as fan:
            while (arrival := await fan.next()) is not None:
                index, event = arrival
                match event:
                    case Piece():
                        choices[index].pieces.append(event)
                    case Notice(record):
                        notes[index].append(intervention_note(record))
                    case Finished(reason, trace):
                        choices[index].finish_reason = reason
                        traces.append(trace)
                        if call.annotate:
                            choices[index].note = summary_note(trace) | {"events": notes[index]}
    usage = await _settle(service, call, traces, report)
    return shape.whole(choices, usage)


async def _stream(service: Service, call: Call, shape: Shape, report: Report, sink: Sink) -> None:
    try:
        await _play(service, call, shape, report, sink)
    except ClientGone:
        raise  # nobody to tell
    except Exception as error:
        if not sink.started:
            raise
        refused = refusal_of(error)
        report.status = refused.status
        log.error("stream_failed", id=call.id, status=refused.status, exc_info=refused.status == 500)
        await sink.data(error_body(refused))


async def _play(service: Service, call: Call, shape: Shape, report: Report, sink: Sink) -> None:
    script = _Script(call, shape)
    with service.gate.enter(len(call.jobs)) as slots:
        async with Fan[Job, Event](service.driver.run, call.jobs, slots) as fan:
            while True:
                try:
                    async with asyncio.timeout(service.settings.keepalive_seconds):
                        arrival = await fan.next()
                except TimeoutError:
                    await sink.text(KEEPALIVE)
                    continue
                if arrival is None:
                    break
                for chunk in script.chunks(*arrival):
                    await sink.data(chunk)
    usage = await _settle(service, call, script.traces, report)
    if call.include_usage:
        await sink.data(shape.usage(usage))
    await sink.text("data: [DONE]\n\n")


class _Script:
    """The order of chunks: a choice's opening before its text, a note with the next text that can carry it."""

    def __init__(self, call: Call, shape: Shape) -> None:
        self.traces: list[Trace] = []
        self._call = call
        self._shape = shape
        self._opened: set[int] = set()
        self._notes: dict[int, Json] = {}

    def chunks(self, index: int, event: Event) -> Iterator[Json]:
        """What is sent for an event."""
        if index not in self._opened:
            self._opened.add(index)
            opening = self._shape.opening(index)
            if opening is not None:
                yield opening
        match event:
            case Piece():
                chunk = self._shape.piece(index, event, self._notes.get(index))
                if chunk is not None:
                    self._notes.pop(index, None)
                    yield chunk
            case Notice(record):
                yield from self._left_over(index)
                if self._call.annotate:
                    self._notes[index] = intervention_note(record)
            case Finished(reason, trace):
                self.traces.append(trace)
                yield from self._left_over(index)
                yield self._shape.finish(index, reason, summary_note(trace) if self._call.annotate else None)

    def _left_over(self, index: int) -> Iterator[Json]:
        note = self._notes.pop(index, None)
        if note is not None:
            yield self._shape.note(index, note)


async def _settle(service: Service, call: Call, traces: Sequence[Trace], report: Report) -> Json:
    """The traces are safe before the client is told that all is done; a store that is slow cannot hold it for long."""
    if len(traces) != len(call.jobs):
        raise EngineError("a generation ended without a result")
    wanted = [trace for trace in traces if service.writer.wanted(trace)]
    await asyncio.gather(*(service.writer.record(trace, 1.0) for trace in wanted))
    usage = usage_of(call.prompt_tokens, traces)
    report.tokens = usage["completion_tokens"]
    report.interventions = sum(trace.changes for trace in traces)
    return usage
