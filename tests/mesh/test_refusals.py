"""Every RPC refuses whoever says not who it is, or may not do just this; tried over the descriptors."""

import asyncio
import base64
import json
import time

import pytest
from grpc import StatusCode
from isthmus.kit.tokens import new_key
from isthmus.testing.contract import Filler
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey

pytestmark = pytest.mark.mesh

NEEDS_NO_PERMISSION = {"public", "authenticated"}
HOURS = 3600


def bearer(token):
    return [("authorization", f"Bearer {token}")]


def token(key, **claims):
    """Signs a token as a process of the mesh does, with claims that may be wrong."""
    private = dict(key)
    subject, now = private.pop("subject"), int(time.time())
    claims = {"iss": private["kid"], "sub": subject, "iat": now, "exp": now + 300} | claims
    header = {"alg": "Ed25519", "kid": private["kid"]}
    return jwt.encode(header, claims, OKPKey.import_key(private), algorithms=["Ed25519"])


def unsigned(key):
    """Says of itself that it needs no signature."""
    parts = ({"alg": "none", "kid": key["kid"]}, {"iss": key["kid"], "sub": key["subject"], "exp": 1 << 40})
    return ".".join([*(base64.urlsafe_b64encode(json.dumps(one).encode()).decode() for one in parts), ""])


def signed_with_the_public_key(key):
    """Takes the public key, which everybody may know, for a shared secret."""
    now = int(time.time())
    secret = OctKey.import_key(base64.urlsafe_b64decode(key["x"] + "=="))
    claims = {"iss": key["kid"], "sub": key["subject"], "iat": now, "exp": now + 300}
    return jwt.encode({"alg": "HS256", "kid": key["kid"]}, claims, secret, algorithms=["HS256"])


async def strangers(world):
    """Gives what calls carry that show nothing, or nothing that holds."""
    trusted = json.loads((world.mesh.home / "keys/service-registry.jwk").read_text())
    unknown, _ = new_key("unknown", "service:registry", ["*"])
    pretender = {**unknown, "kid": trusted["kid"], "subject": trusted["subject"]}
    now = int(time.time())
    tenant = await world.tenant()
    key = tenant.api_key
    return {
        "nothing": [],
        "no bearer": [("authorization", f"Basic {key}")],
        "an empty credential": bearer(""),
        "garbage": bearer("\\'\"{}<>"),
        "three dots": bearer("eyJhbGciOiJFZERTQSIsImtpZCI6IngifQ.e30.AAAA"),
        "a key that nobody has": bearer(f"ist_key_{'0' * 26}_{'f' * 64}"),
        "a wrong secret of a key": bearer(key[:-4] + ("aaaa" if key[-4:] != "aaaa" else "bbbb")),
        "half a key": bearer(key[: len(key) // 2]),
        "an unknown signer": bearer(token(unknown)),
        "a wrong key under a known name": bearer(token(pretender)),
        "an expired token": bearer(token(trusted, iat=now - HOURS, exp=now - HOURS + 300)),
        "a token of tomorrow": bearer(token(trusted, iat=now + HOURS, exp=now + HOURS + 300)),
        "a token without end": bearer(token(trusted, exp=now + 1000 * HOURS)),
        "a token for somebody else": bearer(token(trusted, sub="service:launcher")),
        "the token of another process": bearer(token(trusted)),
        "a token without signature": bearer(unsigned(trusted)),
        "a token signed with the public key": bearer(signed_with_the_public_key(trusted)),
    }


async def in_parallel(calls, at_once=32):
    """Awaits calls, a few at a time, and gives the results in order."""
    gate = asyncio.Semaphore(at_once)

    async def one(call):
        async with gate:
            return await call

    return await asyncio.gather(*map(one, calls))


async def answers(ways, wanted):
    """Calls RPCs with identities, those of connectors in services and hosts; gives how, and the outcome."""
    tried = [
        (callers, rpc, name, identity)
        for rpc, name, identity in wanted
        for callers in ways[: 2 if rpc.package == "connector" else 1]
    ]
    request = Filler({}).requests
    done = await in_parallel(callers.call(rpc, request(rpc), identity) for callers, rpc, _, identity in tried)
    return [(f"{rpc.path} with {name}", one) for (_, rpc, name, _), one in zip(tried, done, strict=True)]


async def test_whoever_says_not_who_it_is_is_refused(world, host_callers):
    """
    No identity, an unknown or damaged key, and tokens of all kinds that nobody should trust.
    """
    found = await strangers(world)
    wanted = [
        (rpc, name, identity)
        for rpc in world.rpcs
        if rpc.permission != "public"
        for name, identity in found.items()
    ]

    done = await answers([world.callers, host_callers], wanted)

    assert len(done) > len(found) * 190
    assert {call: one.text for call, one in done if one.code != StatusCode.UNAUTHENTICATED} == {}


async def test_whoever_lacks_one_permission_is_refused(world, host_callers):
    """
    A process of the mesh that may do everything but this one thing may not do this one thing.
    """
    guarded = [rpc for rpc in world.rpcs if rpc.permission not in NEEDS_NO_PERMISSION]
    everything = sorted({rpc.permission for rpc in guarded})
    processes = world.with_permissions([{*everything} - {permission} for permission in everything])
    lacking = dict(zip(everything, processes, strict=True))

    done = await answers(
        [world.callers, host_callers],
        [(rpc, "all but it", lacking[rpc.permission].identity("tnt_any")) for rpc in guarded],
    )

    assert {call: one.text for call, one in done if one.reason != "PERMISSION_MISSING"} == {}


async def test_a_key_whose_role_lacks_one_permission_is_refused(world, host_callers):
    """
    The role holds whatever a tenant's role may hold, but this; what belongs to the mesh is in none.
    """
    guarded = [rpc for rpc in world.rpcs if rpc.permission not in NEEDS_NO_PERMISSION]
    tenant = await world.tenant()
    permissions = await allowed(world, tenant, sorted({rpc.permission for rpc in guarded}))
    made = await in_parallel(
        key(world, tenant, number, [one for one in permissions if one != left_out])
        for number, left_out in enumerate(permissions)
    )
    keys = dict(zip(permissions, made, strict=True))

    done = await answers(
        [world.callers, host_callers],
        [(rpc, "all but it", bearer(keys.get(rpc.permission, tenant.api_key))) for rpc in guarded],
    )

    assert len(permissions) > 70
    assert {call: one.text for call, one in done if one.reason != "PERMISSION_MISSING"} == {}


async def allowed(world, tenant, permissions):
    """Gives those permissions that the tenant's administrator holds, and so may give."""
    caller = await world.do(tenant.identity, "identity.GetCaller")
    held = [pattern.split(".") for pattern in caller.caller.permissions]

    def meets(permission, pattern):
        return all(one in {"*", other} for one, other in zip(pattern, permission.split("."), strict=True))

    return [one for one in permissions if any(meets(one, pattern) for pattern in held)]


async def key(world, tenant, number, permissions):
    """Makes an API key of a role with these permissions."""
    name = f"all_but_{number}"
    await world.do(tenant.identity, "identity.CreateRole", name=name, permissions=permissions)
    robot = {"name": f"robot-{number}", "roles": [name]}
    account = await world.do(tenant.identity, "identity.CreateServiceAccount", **robot)
    whose = {"serviceAccountId": account.service_account.service_account_id}
    return (await world.do(tenant.identity, "identity.CreateApiKey", **whose, name=name)).api_key
