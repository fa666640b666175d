"""For simulations of vendors' systems, against which connectors are tried.

A sandbox holds records, dates every change, pages and refuses as the vendor does, and misbehaves when it is
told to. What is particular to the vendor stands in its routes:

```python
class AcmeSandbox(Sandbox):
    connector = "acme"

    def build(self) -> None:
        self.incidents = self.collection("incidents", lambda number, _: {"id": str(number), "title": "Leak"})

    @get("/incidents")
    def list_incidents(self, call: Call) -> dict[str, Any]:
        after = call.number("after", 0, 10**9)
        rows = self.incidents.listed()
        page = rows[after : after + self.page_size]
        more = after + len(page) < len(rows)
        return {"items": page, "next": f"/incidents?after={after + len(page)}" if more else None}
```
"""

from isthmus.sdk.sandbox.base import Push, Sandbox
from isthmus.sdk.sandbox.clock import SandboxClock
from isthmus.sdk.sandbox.collection import Collection, Effect, iso
from isthmus.sdk.sandbox.faults import LEVELS, Faults, Misbehaviour
from isthmus.sdk.sandbox.web import Answer, Call, Refused, delete, get, patch, post, put, route

__all__ = [
    "LEVELS",
    "Answer",
    "Call",
    "Collection",
    "Effect",
    "Faults",
    "Misbehaviour",
    "Push",
    "Refused",
    "Sandbox",
    "SandboxClock",
    "delete",
    "get",
    "iso",
    "patch",
    "post",
    "put",
    "route",
]
