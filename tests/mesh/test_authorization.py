"""A person authorizes a credential with the command line and a browser, and a flow reads with it."""

import asyncio
import os
import re
import sys
import urllib.request

import pytest
from isthmus.testing.http_server import Answer, HttpServer
from isthmus.testing.token_server import CLIENT_SECRET, TokenServer

pytestmark = pytest.mark.mesh
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
    check_path: /endless
    needed_scopes: [read, write]
    streams:
      - name: endless
        path: /endless
        records_path: items
        key: [id]
        paging: {{kind: next_link, field: next}}
---
kind: Flow
name: endless
spec:
  source: {{instance: consented, stream: endless}}
  destination: {{instance: hub, stream: endless}}
  max_attempts: 1
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


async def test_a_person_authorizes_and_a_flow_reads_until_it_is_revoked(mesh):
    """
    The host sends access tokens and sees nothing else; a sync without end stops when the person says so.
    """
    server = TokenServer()
    async with HttpServer() as http:
        server.serve(http)

        def endless(request):
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            pages.append(token in server.good)
            page = {"items": [{"id": "1"}], "next": f"/endless?page={len(pages)}"}
            return page if pages[-1] else Answer(401)

        pages = []
        http.on("/endless", endless)
        await asyncio.to_thread(
            mesh.apply, DOCUMENTS.format(url=http.url), env={"CLIENT_SECRET": CLIENT_SECRET}
        )
        code, out = await browsed(mesh, server)
        tested = await asyncio.to_thread(mesh.ok, "auth", "test", "consented")
        checked = await asyncio.to_thread(mesh.answer, "check", "consented")
        await asyncio.to_thread(mesh.ok, "instances", "activate", "consented")
        running = asyncio.create_task(asyncio.to_thread(mesh.run, "sync", "run", "endless", "--watch"))
        while len(pages) < 5:
            await asyncio.sleep(0.05)
        await asyncio.to_thread(mesh.ok, "auth", "revoke", "consented")
        ended = await running

    assert code == 0, out
    assert "passed" in tested.out
    [scopes] = [step for step in checked if step["step"] == "scopes"]
    assert (scopes["needed_permissions"], scopes["granted_permissions"]) == (["read", "write"], ["read"])
    assert scopes["reason"] == "SCOPES_NOT_GRANTED"
    assert all(pages)
    assert [form["grant_type"] for form in server.asked] == ["authorization_code", "refresh_token"]
    assert ended.code == 1
    assert "taken" in ended.out
