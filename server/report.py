"""What one request came to, for its log line and its metric. Never holds a prompt or a text."""

from dataclasses import dataclass

from starlette.types import Scope

KEY = "midcourse_report"


@dataclass(slots=True)
class Report:
    """Filled in by the routes, read by the edge.

    Args:
        request_id: as in ``X-Request-Id``.
        id: the completion's, once there is one.
        status: HTTP; for a stream that failed half-way, what the status would have been.
    """

    request_id: str
    id: str | None = None
    status: int | None = None
    tokens: int = 0
    interventions: int = 0

    @property
    def outcome(self) -> str:
        """One of a closed set."""
        status = self.status or 500
        special = {401: "auth_error", 403: "auth_error", 429: "overloaded", 499: "cancelled", 500: "server_error"}
        if status in special:
            return special[status]
        if status < 400:
            return "ok"
        return "client_error" if status < 500 else "engine_error"


def report_of(scope: Scope) -> Report:
    """The report of a request that came through the edge."""
    report = scope["state"][KEY]
    assert isinstance(report, Report)
    return report
