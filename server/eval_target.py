"""Who is to answer an evaluation: our own server, or one that runs. Knows how to ask the latter whose it is."""

import json
import urllib.error
import urllib.request
from typing import Any

from midcourse.models.answer_judges import is_bare
from midcourse.server.config import overrides_of
from midcourse.server.errors import CallerError, EngineError
from midcourse.server.eval_run import Target

SECONDS = 10.0
_GUARDS = "name guards with --conditions, and judges of answers with --judges"
_SERVER = "a server that runs already is asked with --base-url"
_TRACES = "leave it out: each condition has traces and keys of its own"
OURS = {
    **dict.fromkeys(("judge", "policy.mode"), _GUARDS),
    **dict.fromkeys(("engine", "host", "port", "served_model_name"), _SERVER),
    **dict.fromkeys(("store", "spool_dir", "trace_sample_rate"), _TRACES),
    **dict.fromkeys(("admin_keys", "api_keys", "api_keys_file"), _TRACES),
    "config": "give its settings as flags, which the manifest then holds",
}
"""Settings that a run makes, because they are what a condition is, or a secret; and what to do instead."""


def target_of(model: str, url: str | None, key: str, *, midcourse: bool | None, flags: tuple[str, ...]) -> Target:
    """From flags.

    Raises:
        CallerError: the URL is none, or settings are given for a server that runs already, or that make the condition.
        EngineError: it does not answer.
    """
    if url is None:
        if taken := next((name for name in overrides_of(flags) if name in OURS), None):
            raise CallerError(f"--{taken.replace('_', '-')}: the run sets it; {OURS[taken]}", param=taken)
        return Target(model, flags=flags)
    if flags:
        raise CallerError(f"{flags[0]}: unexpected; with --base-url, nothing is set by flags of serve")
    if not url.startswith(("http://", "https://")):
        raise CallerError(f"--base-url {url}: give the whole URL, as in http://127.0.0.1:8000/v1", param="base_url")
    if not is_bare(url):
        raise CallerError("--base-url: holds a user, a password or a query; give a key by --api-key", param="base_url")
    url = url.rstrip("/")
    return Target(model, url, key, _is_ours(url, key) if midcourse is None else midcourse)


def _is_ours(url: str, key: str) -> bool:
    """By who owns its models. A guarded vLLM lists them as vLLM's: there, --midcourse says so."""
    request = urllib.request.Request(f"{url}/models")  # noqa: S310 - the caller's own choice, http or https
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as reply:  # noqa: S310
            told: Any = json.load(reply)
        return any(model.get("owned_by") == "midcourse" for model in told["data"])
    except urllib.error.HTTPError as error:
        raise EngineError(f"{url}/models: HTTP {error.code}; see --api-key") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(f"{url}/models: {error}; is it an OpenAI-compatible server?") from error
