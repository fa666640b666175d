import asyncio
import ssl
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.connector.v1 import connector_pb2_grpc as rpc
from isthmus.kit import ServiceSettings, Wiring, fault_from_rpc_error
from isthmus.kit.certificates import Certificates, dns_name, spiffe_id
from isthmus.kit.certificates import serving as process_serving
from isthmus.kit.channel import Caller
from isthmus.local.backends.ports import free_port
from isthmus.resilience.faults import Precondition
from isthmus.testing.waiting import waiting_for

DOMAIN = "isthmus.local"
CALLER, SERVER = "service:scheduling", "service:registry"


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
        self.file = folder / "authority.pem"
        folder.mkdir()
        own = self._builder(self.name, self.key, timedelta(hours=1)).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.file.write_bytes(own.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(self, subject, lasting=timedelta(hours=1)):
        """Writes certificate and key of a process and gives the file."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [
            x509.DNSName(dns_name(subject, DOMAIN)),
            x509.UniformResourceIdentifier(spiffe_id(subject, DOMAIN)),
        ]
        certificate = (
            self._builder(x509.Name([]), key, lasting)
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self.folder / f"{subject.replace(':', '-')}.pem"
        draft = path.with_suffix(".draft")
        draft.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        draft.replace(path)
        return path

    def certificates(self, subject):
        """Gives what a process calls and listens with."""
        own = self.issue(subject)
        return Certificates(own, own, self.file, domain=DOMAIN)

    def _builder(self, subject, key, lasting):
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + lasting)
        )


@pytest.fixture
def authority(tmp_path):
    """The one whose certificates the service accepts."""
    return Authority(tmp_path / "tls")


@pytest.fixture
def users_port():
    """Where people reach the service."""
    return free_port()


@pytest.fixture
async def address(serving, connector, look_up, mesh_key, authority, users_port):
    """Address of a service that listens with mutual TLS, and beside it to people."""

    async def wire(chassis):
        servicers = [(rpc.add_ConnectorServiceServicer_to_server, connector)]
        return Wiring(servicers=servicers, key_lookup=look_up)

    own = authority.issue(SERVER)
    settings = ServiceSettings(
        trust_file=mesh_key / "trust.json",
        tls_cert_file=own,
        tls_key_file=own,
        tls_ca_file=authority.file,
        tls_look_seconds=0.05,
        users_listen=f"127.0.0.1:{users_port}",
        drain_seconds=1,
    )
    async with serving(settings, wire) as where:
        yield where


@pytest.fixture
async def call(address, mesh_key):
    """Calls the service as the process whose key it has, with certificates that the test chooses."""
    callers = []

    async def make(certificates, *, at=address, server=SERVER):
        callers.append(caller := Caller(mesh_key / "key.jwk", certificates=certificates))
        stub = rpc.ConnectorServiceStub(caller.channel(at, server))
        return await stub.Describe(pb.DescribeRequest(), timeout=10)

    yield make
    for caller in callers:
        await caller.close()


async def refusal(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_a_process_with_its_own_certificate_is_served(call, authority):
    """
    Token and certificate name the same process, and the server is whom the caller wants.
    """
    assert await call(authority.certificates(CALLER)) == pb.DescribeResponse()


async def test_who_has_no_certificate_of_the_authority_gets_no_connection(call, authority, tmp_path):
    """
    Plain text, and a certificate of another authority that bears the right name.
    """
    stranger = Authority(tmp_path / "other").issue(CALLER)
    foreign = Certificates(stranger, stranger, authority.file, domain=DOMAIN)

    refused = [await refusal(call(one)) for one in (None, foreign)]

    assert [error.code() for error in refused] == [grpc.StatusCode.UNAVAILABLE] * 2


async def test_a_server_that_is_somebody_else_is_not_called(call, authority):
    """
    The right authority is not enough; the certificate has to bear the name of whom the caller wants.
    """
    error = await refusal(call(authority.certificates(CALLER), server="service:identity"))

    assert error.code() is grpc.StatusCode.UNAVAILABLE


class Foreign(rpc.ConnectorServiceServicer):
    """A connector that is no part of the mesh, and notes what it is told."""

    async def Describe(self, request, context):
        names = context.auth_context().get("x509_subject_alternative_name", ())
        self.heard = dict(context.invocation_metadata()), {name.decode() for name in names}
        return pb.DescribeResponse()


async def test_a_connector_elsewhere_proves_itself_and_sees_no_token(authority, mesh_key):
    """
    Both sides show a certificate; one that stands in another's place is told nothing.
    """
    foreign, server = Foreign(), grpc.aio.server()
    rpc.add_ConnectorServiceServicer_to_server(foreign, server)
    own = authority.certificates("upstream:acme").server_credentials(of_callers=True)
    address = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', own)}"
    await server.start()
    caller = Caller(mesh_key / "key.jwk", certificates=authority.certificates("host:acme"))
    right, wrong = (
        rpc.ConnectorServiceStub(caller.stranger(address, f"upstream:{name}")) for name in ("acme", "other")
    )

    await right.Describe(pb.DescribeRequest(), timeout=30)
    refused = await refusal(wrong.Describe(pb.DescribeRequest(), timeout=5))

    metadata, names = foreign.heard
    assert "authorization" not in metadata
    assert "spiffe://isthmus.local/host/acme" in names
    assert refused.code() is grpc.StatusCode.UNAVAILABLE
    await caller.close()
    await server.stop(None)


async def test_nothing_is_said_elsewhere_without_a_certificate(mesh_key):
    """
    The refusal names the settings.
    """
    with pytest.raises(Precondition, match="ISTHMUS_TLS_CERT_FILE"):
        Caller(mesh_key / "key.jwk").stranger("10.1.1.1:9000", "upstream:acme")


async def test_a_token_is_of_no_use_to_another_process(call, authority, users_port):
    """
    Neither over the connection of another process, nor where people enter without a certificate.
    """
    stolen = await refusal(call(authority.certificates("host:files")))
    beside = await refusal(call(None, at=f"127.0.0.1:{users_port}"))

    assert [fault_from_rpc_error(one).reason for one in (stolen, beside)] == ["CERTIFICATE_MISMATCH"] * 2


async def test_a_voucher_is_of_no_use_to_another_process(address, authority, mesh_key, bearer):
    """
    Who hands a call on has to prove itself as well.
    """
    vouching = Caller(mesh_key / "key.jwk")
    caller = Caller(certificates=authority.certificates("host:files"))
    metadata = (*bearer(), *vouching.vouch("192.0.2.1"))
    stub = rpc.ConnectorServiceStub(caller.channel(address, SERVER))

    error = await refusal(stub.Describe(pb.DescribeRequest(), metadata=metadata))

    await caller.close()
    assert fault_from_rpc_error(error).reason == "CERTIFICATE_MISMATCH"


async def test_people_enter_with_a_key_alone(address, users_port, bearer):
    """
    An API key needs no certificate at the address that is there for people.
    """
    async with grpc.aio.insecure_channel(f"127.0.0.1:{users_port}") as channel:
        stub = rpc.ConnectorServiceStub(channel)
        assert await stub.Describe(pb.DescribeRequest(), metadata=bearer()) == pb.DescribeResponse()


async def test_beyond_this_machine_people_are_spoken_to_with_tls(
    serving, connector, look_up, authority, bearer
):
    """
    The server shows its certificate there and asks for none.
    """

    async def wire(chassis):
        return Wiring([(rpc.add_ConnectorServiceServicer_to_server, connector)], key_lookup=look_up)

    own, port = authority.issue(SERVER), free_port()
    files = {"tls_cert_file": own, "tls_key_file": own, "tls_ca_file": authority.file}
    async with serving(ServiceSettings(**files, users_listen=f"0.0.0.0:{port}"), wire):
        trusting = grpc.ssl_channel_credentials(authority.file.read_bytes())
        options = [("grpc.ssl_target_name_override", dns_name(SERVER, DOMAIN))]
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", trusting, options=options) as channel:
            stub = rpc.ConnectorServiceStub(channel)
            assert await stub.Describe(pb.DescribeRequest(), metadata=bearer()) == pb.DescribeResponse()


async def test_renewed_certificates_are_used_without_a_failed_call(address, authority, connector, mesh_key):
    """
    While calls run, both sides change to new certificates; calls under way end as if nothing had been.
    """
    shown = set()

    async def note(request, context):
        shown.add(context.auth_context()["x509_pem_cert"][0])
        return pb.DescribeResponse()

    connector.describe = note
    certificates = authority.certificates(CALLER)
    caller = Caller(mesh_key / "key.jwk", certificates=certificates)
    stub = rpc.ConnectorServiceStub(caller.channel(address, SERVER))
    following = asyncio.create_task(certificates.follow(caller.renew, 0.05))
    before = await server_certificate(address, authority)
    await stub.Describe(pb.DescribeRequest())

    authority.issue(SERVER)
    authority.issue(CALLER)
    async with waiting_for("the new certificate"):
        while len(shown) < 2 or await server_certificate(address, authority) == before:
            await stub.Describe(pb.DescribeRequest())

    following.cancel()
    await caller.close()


async def server_certificate(address, authority):
    """Gives the certificate that a server shows."""
    context = ssl.create_default_context(cafile=authority.file)
    context.load_cert_chain(authority.folder / "service-scheduling.pem")
    host, _, port = address.rpartition(":")
    name = dns_name(SERVER, DOMAIN)
    _, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname=name)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return found


async def test_an_expired_certificate_is_told_with_what_to_do(authority):
    """
    At the start and while running.
    """
    certificates = authority.certificates(CALLER)
    ended = authority.issue(CALLER, lasting=timedelta(hours=-1))

    with pytest.raises(Precondition, match="has expired") as at_start:
        Certificates(ended, ended, authority.file, domain=DOMAIN)
    with pytest.raises(Precondition, match="issued anew"):
        await certificates.follow(lambda: None, 0.05)

    assert at_start.value.reason == "CERTIFICATE_EXPIRED"


def test_files_that_do_not_belong_together_leave_the_old_ones_in_use(authority, tmp_path):
    """
    Somebody who replaces certificate and key one after the other breaks nothing.
    """
    one, other = authority.issue(CALLER), authority.issue(SERVER)
    certificate, key = tmp_path / "certificate", tmp_path / "key"
    certificate.write_bytes(one.read_bytes())
    key.write_bytes(one.read_bytes())
    certificates = Certificates(certificate, key, authority.file, domain=DOMAIN)

    key.write_bytes(other.read_bytes())
    half = certificates.look()
    certificate.write_bytes(other.read_bytes())

    assert (half, certificates.look()) == (False, True)


@pytest.mark.parametrize("text", ["", "no PEM"])
def test_unusable_files_are_told(authority, tmp_path, text):
    """
    Nothing is started with what is no certificate.
    """
    (tmp_path / "own").write_text(text)
    with pytest.raises(Precondition) as caught:
        Certificates(tmp_path / "own", tmp_path / "own", authority.file, domain=DOMAIN)

    assert caught.value.reason == "CERTIFICATE_UNUSABLE"


def test_two_of_three_files_are_refused(authority):
    """
    Half of the settings must not mean plain text.
    """
    with pytest.raises(Precondition, match="ISTHMUS_TLS_CA_FILE"):
        Certificates.of(ServiceSettings(tls_cert_file=authority.file, tls_key_file=authority.file))


def test_the_hub_is_served_by_the_records_service():
    """
    Every other connector has a host of its own name.
    """
    assert (process_serving("hub"), process_serving("files")) == ("service:records", "host:files")
