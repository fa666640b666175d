"""Speaks the contract of the function library."""

import asyncio
import json
from typing import Any

from isthmus.kit import Page, PageRequest
from isthmus.kit.validation import validating
from isthmus.mapper.functions import REQUIRED, Function, Param, plugins
from isthmus.mapper.reference import expression_example, expression_signature
from isthmus.mapping.v1 import functions_pb2 as pb
from isthmus.mapping.v1 import functions_pb2_grpc as pb_grpc
from isthmus.services.mapping.domain.library import behind, matching


class MappingFunctionsServicer(pb_grpc.MappingFunctionsServiceServicer):
    """Lists functions; plug-ins are imported by the first who asks."""

    async def ListFunctions(self, request: pb.ListFunctionsRequest, context: Any) -> pb.ListFunctionsResponse:
        """List functions by plug-in, area and name."""
        with validating() as check:
            check.text("area", request.area, required=False, longest=100)
            check.text("search", request.search, required=False, longest=200)
        page = PageRequest.parse(request.page_size, request.page_token, keys=("name",))
        found = await asyncio.to_thread(matching, request.area, request.search)
        if page.after is not None:
            found = behind(found, str(page.after["name"]))
        shown = Page.of(found, page, lambda function: {"name": function.name})
        brought = [] if request.page_token else plugins.installed()
        return pb.ListFunctionsResponse(
            functions=map(_message, shown.items),
            next_page_token=shown.next_token,
            plugins=[
                pb.FunctionPlugin(
                    name=one.name, version=one.version, package=one.package, problem=one.problem
                )
                for one in brought
            ],
        )


def _message(function: Function) -> pb.Function:
    examples = [
        pb.FunctionExample(
            step=_json(example.step),
            expression=expression_example(function) if place == 0 else "",
            given=_json(example.given),
            result=_json(example.result),
        )
        for place, example in enumerate(function.examples)
    ]
    return pb.Function(
        name=function.name,
        area=function.area,
        documentation=function.doc,
        parameters=map(_parameter, function.params),
        takes=function.takes,
        returns=function.returns,
        expression=expression_signature(function),
        examples=examples,
        since=function.since,
        plugin=function.plugin,
    )


def _parameter(param: Param) -> pb.FunctionParameter:
    is_optional = param.default is not REQUIRED
    default = "" if not is_optional or param.default is None else _json(param.default)
    return pb.FunctionParameter(
        name=param.name, kind=param.kind, optional=is_optional, default=default, options=param.options
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


__all__ = ["MappingFunctionsServicer"]
