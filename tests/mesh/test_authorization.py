"""A person authorizes a credential with the command line and a browser, and a flow reads with it."""

import asyncio
import os
import re
import sys
import urllib.request

import pytest
from isthmus.testing.http_server import Answer, HttpServer
from isthmus.testing.token_server import TokenServer

pytestmark = [pytest.mark.mesh, pytest.mark.xdist_group("mesh"), pytest.mark.timeout(120)]
DOCUMENTS = """
kind: Credential
name: consented
spec:
  type: oauth2_authorization_code
  oauth:
    token_url: {url}/token
    authorization_url: {url}/authorize
    client_id: mesh
    scopes: [read]
    client_authentication: post
  secret: {{env: CLIENT_SECRET}}
---
kind: Instance
name: consented
spec:
  connector: http-json
  credential: consented
  active: false
  configuration:
    base_url: {url}
    streams: [{{name: items, path: /items, records_path: items, key: [id]}}]
---
kind: Flow
name: consented
spec:
  source: {{instance: consented, stream: items}}
  destination: {{instance: hub, stream: consented}}
"""


async def browsed(mesh, server):
    """Runs the command, says yes as a person does, and sends the browser back; gives the exit code."""
    command = [sys.executable, "-m", "isthmus.client.cli", "--home", str(mesh.home)]
    running = await asyncio.create_subprocess_exec(
        *command, "auth", "authorize", "consented", stdout=-1, stderr=-1, env={**os.environ, "NO_COLOR": "1"}
    )
    told = ""
    while not (found := re.search(r"http://\S+/authorize\S+", told)):
        told += (await running.stderr.readline()).decode()
    state, code = server.consent(found[0])
    redirect = re.search(r"redirect_uri=([^&]+)", found[0])[1]
    back = f"{urllib.request.unquote(redirect)}?state={state}&code={code}"
    await asyncio.to_thread(lambda: urllib.request.urlopen(back).read())
    out, _ = await running.communicate()
    return running.returncode, out.decode()


async def test_a_person_authorizes_and_a_flow_reads(mesh):
    """
    The host sends an access token that the refresh token of the consent has given; it sees neither.
    """
    server = TokenServer()
    async with HttpServer() as http:
        server.serve(http)

        def items(request):
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            return {"items": [{"id": "1"}]} if token in server.good else Answer(401)

        http.on("/items", items)
        await asyncio.to_thread(
            mesh.apply, DOCUMENTS.format(url=http.url), env={"CLIENT_SECRET": "client-secret"}
        )
        code, out = await browsed(mesh, server)
        tested = await asyncio.to_thread(mesh.ok, "auth", "test", "consented")
        await asyncio.to_thread(mesh.ok, "instances", "activate", "consented")
        await asyncio.to_thread(mesh.ok, "sync", "run", "consented", "--watch")

    assert code == 0, out
    assert "STATE_READY" in out or "ready" in out
    assert "passed" in tested.out
    assert [form["grant_type"] for form in server.asked] == ["authorization_code", "refresh_token"]
