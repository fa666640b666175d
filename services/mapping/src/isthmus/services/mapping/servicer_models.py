"""Speaks the contract of canonical models."""

import asyncio
import json
from typing import Any

from isthmus.kit import Page, PageRequest
from isthmus.kit.validation import validating
from isthmus.mapping.v1 import models_pb2 as pb
from isthmus.mapping.v1 import models_pb2_grpc as pb_grpc
from isthmus.models import Model, ModelUnknown, model, models
from isthmus.resilience.faults import Missing


class ModelServicer(pb_grpc.ModelServiceServicer):
    """Shows what comes with the package; everybody sees the same, so no database is asked."""

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:
        """List models without their schemas."""
        page = PageRequest.parse(request.page_size, request.page_token, keys={"name": str, "version": int})
        with validating() as check:
            check.text("standard", request.standard, required=False, longest=100)
        found = [one for one in await asyncio.to_thread(models) if _wanted(one, request.standard, page)]
        shown = Page.of(found[: page.size + 1], page, lambda one: {"name": one.name, "version": one.version})
        return pb.ListModelsResponse(models=map(_message, shown.items), next_page_token=shown.next_token)

    async def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.GetModelResponse:
        """Read a model with its schema."""
        with validating() as check:
            check.text("name", request.name, longest=100)
            check.within("version", request.version, least=0, most=2**31 - 1)
        try:
            found = await asyncio.to_thread(model, request.name, request.version or None)
        except ModelUnknown as problem:
            raise Missing("MODEL_UNKNOWN", str(problem), path="name") from problem
        message = _message(found)
        message.json_schema = json.dumps(found.schema, separators=(",", ":"), ensure_ascii=False)
        return pb.GetModelResponse(model=message)


def _wanted(one: Model, standard: str, page: PageRequest) -> bool:
    behind = page.after is None or (one.name, one.version) > (page.after["name"], page.after["version"])
    return behind and (not standard or one.name.startswith(f"{standard}/"))


def _message(one: Model) -> pb.Model:
    return pb.Model(
        name=one.name,
        version=one.version,
        title=one.title,
        description=one.description,
        standard=one.standard.name,
        standard_version=one.standard.version,
        documentation_url=one.standard.url,
    )


__all__ = ["ModelServicer"]
