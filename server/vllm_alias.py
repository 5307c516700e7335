"""An alias of an adapter in vLLM's server: requests for ``ipo`` run on ``ipo-v2``, from one request to the next.

vLLM has no such thing. To load a name again in place would change the weights under the streams that run, and has every
step read the files again; to unload and load it leaves a moment without it. So the alias becomes another name of the
loaded version: one entry in the table of vLLM's server, no second copy in its memory. Knows that table.
"""

from copy import copy
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from midcourse.models.registry import version_of
from midcourse.server.auth import admin_only
from midcourse.server.replies import Refused, errors

router = APIRouter(prefix="/v1/midcourse", dependencies=[Depends(admin_only)])


class Target(BaseModel):
    """What a name is to lead to."""

    model_config = ConfigDict(extra="forbid")

    adapter: str


class Pointed(BaseModel):
    """What it leads to now, and led to before."""

    name: str
    adapter: str
    before: str | None


@router.put(
    "/aliases/{name}",
    summary="Let a name lead to a loaded adapter",
    responses={200: {"model": Pointed}, **errors(400, 401, 403, 404)},
)
async def point(name: str, target: Target, request: Request) -> JSONResponse:
    """For new requests; those that run keep what they began with. /v1/unload_lora_adapter takes the name away."""
    models = request.app.state.openai_serving_models
    table: dict[str, Any] = models.lora_requests
    found = table.get(target.adapter)
    if found is None:
        raise Refused(404, f"{target.adapter} is not loaded.", code="adapter_not_found", param="adapter")
    if models.is_base_model(name):
        raise Refused(400, f"{name} is the base model.", code="bad_alias", param="name")
    if version_of(name) is not None:  # whoever asks for a version means that one
        raise Refused(400, f"{name} is the name of a version.", code="bad_alias", param="name")
    before = lead(table, name, target.adapter)
    return JSONResponse({"name": name, "adapter": target.adapter, "before": before and before.lora_path})


def lead(table: dict[str, Any], name: str, adapter: str) -> Any:
    """Let a name lead to an entry of vLLM's table; gives what it led to before, or None."""
    before = table.get(name)
    alias = copy(table[adapter])
    alias.lora_name = name  # the id is the loaded adapter's, and by that the engine knows it
    table[name] = alias
    return before
