"""Secrets are where they belong and nowhere else, even when a vendor throws them back at us."""

import asyncio
import base64
import json
import secrets
import time
from contextlib import suppress
from pathlib import Path

import pytest
from isthmus.testing.http_server import Answer, HttpServer
from isthmus.testing.tables import all_rows

pytestmark = [pytest.mark.mesh, pytest.mark.xdist_group("mesh"), pytest.mark.timeout(300)]

CREDENTIALS = {
    "bearer": {"type": "bearer"},
    "header": {"type": "api_key", "header_name": "X-Vendor-Key"},
    "query": {"type": "api_key", "query_parameter": "apikey"},
    "basic": {"type": "basic", "username": "robot"},
    "oauth": {
        "type": "oauth2_client_credentials",
        "oauth": {"client_id": "robot", "client_authentication": "post"},
    },
}
OWN_PLACES = {
    "keys",
    "tls",
    "cli.json",
    "nats.conf",
    "users",
    "openbao",
    "admin.password",
    "auditor.password",
}
"""Files and folders in the home that are there to hold secrets of the mesh itself."""


def said(request):
    """Tells the client everything that it has sent."""
    return json.dumps({"headers": request.headers, "query": request.query})


THROWN_BACK = {
    "bad": lambda request: Answer(400, said(request), {"content-type": "application/json"}),
    "unauthorized": lambda request: Answer(
        401, said(request), {"www-authenticate": f'Bearer error="invalid_token {said(request)}"'}
    ),
    "forbidden": lambda request: Answer(403, f"<html>{said(request)}</html>", {"content-type": "text/html"}),
    "missing": lambda request: Answer(404, said(request)),
    "conflict": lambda request: Answer(409, {"error": {"message": said(request)}}),
    "broken": lambda request: Answer(501, said(request)),
    "moved": lambda request: Answer(302, b"", {"location": f"/elsewhere?told={said(request)!r}"}),
    "html": lambda request: Answer(200, f"<html>{said(request)}</html>", {"content-type": "text/html"}),
    "half": lambda request: Answer(200, f'{{"items": [{said(request)}', {"content-type": "application/json"}),
    "shape": lambda request: Answer(200, {"items": said(request)}),
}


def documents(url, name, kind):
    """Describes a credential, an instance with it, and a flow for each way to throw it back."""
    streams = [
        {"name": path, "path": f"/{path}", "records_path": "items", "key": ["id"]} for path in THROWN_BACK
    ]
    configuration = {"base_url": url, "streams": streams}
    credential = CREDENTIALS[kind] | {"secret": {"env": f"CANARY_{kind}"}}
    if "oauth" in credential:
        credential["oauth"] = credential["oauth"] | {"token_url": f"{url}/token"}
    yield {"kind": "Credential", "name": name, "spec": credential}
    spec = {"connector": "http-json", "credential": name, "configuration": configuration}
    yield {"kind": "Instance", "name": name, "spec": spec}
    for path in THROWN_BACK:
        source = {"instance": name, "stream": path}
        spec = {"source": source, "destination": {"instance": "hub", "stream": name}, "max_attempts": 1}
        yield {"kind": "Flow", "name": f"{name}-{path}", "spec": spec}


def wrong_password(world, name):
    """Describes an instance whose password the mesh's own PostgreSQL refuses."""
    place = json.loads((world.mesh.home / "mesh.json").read_text())["postgres"]
    credential = {"type": "basic", "username": "postgres", "secret": {"env": "CANARY_basic"}}
    yield {"kind": "Credential", "name": name, "spec": credential}
    configuration = {name: place[name] for name in ("host", "port", "database")}
    spec = {"connector": "postgres", "credential": name, "configuration": configuration}
    yield {"kind": "Instance", "name": name, "spec": spec}


def forms(secret):
    """Gives a secret as it is, in hexadecimal, and in base64 behind whatever stands before it."""
    raw = secret.encode()
    shifted = [base64.b64encode(b"x" * shift + raw)[4:-4] for shift in range(3)]
    return [raw, raw.hex().encode(), *shifted]


def found(text, wanted):
    """Names the secrets that a text contains in whatever form."""
    return {name for name, secret in wanted.items() if any(form in text for form in forms(secret))}


def found_in_files(home, wanted):
    """Searches all files below the home; gives where they are."""
    shown = {}
    for path in home.rglob("*"):
        if "bytecode" in path.parts:
            continue
        with suppress(OSError):
            names = found(path.read_bytes(), wanted) if path.is_file() else set()
            if names:
                shown[str(path.relative_to(home))] = names
    return shown


def found_in_tables(home, wanted):
    """Searches all rows of all tables; gives the tables."""
    tables = {table: found("\n".join(rows).encode(), wanted) for table, rows in all_rows(home)}
    assert len(tables) > 20
    return {table: names for table, names in tables.items() if names}


def found_in_processes(wanted):
    """Searches the command lines of all processes."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines.append(path.read_bytes())
    return found(b"\n".join(lines), wanted)


async def everything_run(world, names):
    """Runs every flow and checks every instance; gives how the runs have ended."""
    admin = world.administrator
    flows = (await world.do(admin, "scheduling.ListFlows", pageSize=1000)).flows
    mine = [flow.flow_id for flow in flows if flow.name.rpartition("-")[0] in names]
    runs = await asyncio.gather(
        *(world.do(admin, "scheduling.StartExecution", flowId=flow_id) for flow_id in mine)
    )
    ended = []
    end = time.monotonic() + 60
    for run in runs:
        while True:
            got = await world.do(admin, "scheduling.GetExecution", executionId=run.execution.execution_id)
            if got.execution.HasField("end_time"):
                break
            assert time.monotonic() < end, got
            await asyncio.sleep(0.2)
        ended.append(got.execution)
    instances = (await world.do(admin, "registry.ListInstances", pageSize=1000)).instances
    checks = [one.instance_id for one in instances if one.name in names]
    await asyncio.gather(
        *(world.do(admin, "registry.CheckInstance", instanceId=instance_id) for instance_id in checks)
    )
    return ended


async def test_what_a_vendor_throws_back_stays_out_of_everything(world):
    """
    Credentials of every kind, thrown back in every way, are in no file, table, answer or command line.
    """
    word = f"thrown{secrets.token_hex(4)}"
    wanted = {kind: f"canary{secrets.token_hex(16)}" for kind in CREDENTIALS}
    env = {f"CANARY_{kind}": secret for kind, secret in wanted.items()}
    wanted["token"] = f"canary{secrets.token_hex(16)}"
    names = {f"{word}{kind}": kind for kind in CREDENTIALS}
    async with HttpServer() as vendor:
        for path in THROWN_BACK:
            vendor.on(f"/{path}", {"items": []})
        vendor.on("/token", {"access_token": wanted["token"], "expires_in": 3600}, "POST")
        texts = [one for name, kind in names.items() for one in documents(vendor.url, name, kind)]
        applied = await asyncio.to_thread(apply, world.mesh, texts, env)
        for path, handler in THROWN_BACK.items():
            vendor.on(f"/{path}", handler)
        refused = await asyncio.to_thread(apply, world.mesh, wrong_password(world, f"{word}postgres"), env)
        ended = await everything_run(world, {*names, f"{word}postgres"})
        answers = [done.text for done in await world.read(world.administrator, {})]

    assert (applied.code, refused.code) == (0, 1)
    assert {bool(run.error.reason) for run in ended} == {True}
    assert len(ended) == len(CREDENTIALS) * len(THROWN_BACK)
    assert seen(vendor, wanted) == set(wanted)
    told = [applied.out, applied.err, refused.out, refused.err, *answers]
    assert found("\n".join(told).encode(), wanted) == set()
    assert found_in_files(world.mesh.home, wanted) == {}
    assert found_in_tables(world.mesh.home, wanted) == {}
    assert "registry.instances" in found_in_tables(world.mesh.home, {"name": word}), "the search is blind"
    assert found_in_processes(wanted) == set()


def apply(mesh, texts, env):
    """Applies documents and gives what the command line says."""
    file = mesh.home / "thrown.yaml"
    file.write_text("\n---\n".join(map(json.dumps, texts)))
    return mesh.run("apply", "-f", str(file), env=env)


def seen(vendor, wanted):
    """Names the secrets that have reached the vendor, which shows that they were used."""
    return found(
        "\n".join(f"{one.headers} {one.query} {one.body!r}" for one in vendor.requests).encode(), wanted
    )


async def test_the_mesh_keeps_its_own_secrets(world):
    """
    API keys, passwords of roles, private keys and tokens are only in the files that are there for them.
    """
    home = world.mesh.home
    wanted = own_secrets(home)

    await asyncio.to_thread(
        world.mesh.run, "connectors", "list", env={"ISTHMUS_API_KEY": wanted["api key"] + "x"}
    )

    assert len(wanted) > 15
    shown = found_in_files(home, wanted)
    assert shown["cli.json"] == {"api key"}
    assert [path for path in shown if not {*Path(path).parts} & OWN_PLACES] == []
    assert found_in_tables(home, wanted) == {}
    assert found_in_processes(wanted) == set()


def own_secrets(home):
    """Collects them from their places."""
    wanted = {
        f"role {name}": text for name, text in json.loads((home / "keys/database.json").read_text()).items()
    }
    wanted |= {path.name: path.read_text().strip() for path in home.glob("postgres/*.password")}
    wanted |= {path.name: path.read_text() for path in home.glob("nats/users/*.password")}
    wanted["nats issuer"] = (home / "nats/users/issuer.seed").read_text()
    wanted |= {path.name: path.read_text() for path in home.glob("openbao/roles/*.secret-id")}
    for path in home.glob("keys/service-*.jwk"):
        wanted[path.name] = json.loads(path.read_text())["d"]
    for path in home.glob("tls/service-*.pem"):
        wanted[path.name] = path.read_text().splitlines()[1]  # the first line of the key
    root = json.loads((home / "openbao/root.json").read_text())
    profile = json.loads((home / "cli.json").read_text())
    wanted |= {
        "api key": profile["api_key"],
        "nats": json.loads((home / "nats/users/seed.json").read_text())["seed"],
        "vault root token": root["root_token"],
    }
    return wanted
