"""Addresses that lead inside are refused in whatever dress they come."""

import ipaddress

import pytest
from isthmus.resilience.egress import EVERYTHING, Policy, is_public


def words(text):
    return text.split()


INSIDE = words("""
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.1.2.3
127.255.255.255 168.63.129.16 169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1
192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255 198.51.100.7
203.0.113.9 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255
:: ::1 ::127.0.0.1 ::10.0.0.1 ::169.254.169.254 ::ffff:127.0.0.1 ::ffff:10.1.2.3 ::ffff:169.254.169.254
::ffff:192.168.1.1 ::ffff:0:127.0.0.1 ::ffff:0:10.0.0.1 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1
64:ff9b::169.254.169.254 64:ff9b::192.168.0.1 64:ff9b:1::1 64:ff9b:1:ffff::10.0.0.1 100::1 2001::1
2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:0:7f00:1::1 2001:2::1 2001:10::1 2001:20::1 2001:db8::1
2002:7f00:1:: 2002:7f00:1::1 2002:a00:1::1 2002:a9fe:a9fe::1 2002:c0a8:1::1 2002:ac10:1::1
3fff::1 3fff:fff::1 4000::1 5f00::1 8000::1 fc00::1 fd00::1 fd00:ec2::254 fe80::1 fe80::a9fe:a9fe febf::1
fec0::1 feff::1 ff00::1 ff02::1 ff05::1:3 ff0e::1 2a00:1::200:5efe:a00:1 2a00:1::5efe:c0a8:1
2a00:1::5efe:7f00:1 2002:e000:1::1 2002:0:1::1 64:ff9b::224.0.0.1 ::ffff:255.255.255.255 ::ffff:100.64.0.1
""")
OUTSIDE = words("""
1.1.1.1 8.8.8.8 9.9.9.9 52.0.0.1 93.184.216.34 100.63.255.255 100.128.0.1 172.15.255.255 172.32.0.1
192.167.0.1 198.17.255.255 198.20.0.1 223.255.255.255 2606:4700::1111 2a00:1450:4001::8a 2620:fe::fe
64:ff9b::8.8.8.8 2002:808:808::1 ::ffff:8.8.8.8 2a00:1::5efe:808:808
""")


def test_the_table_is_large_enough():
    """
    Each probe is another way to say the same few things.
    """
    assert len(set(INSIDE) | set(OUTSIDE)) >= 79


@pytest.mark.parametrize("probe", INSIDE)
def test_what_leads_inside_is_refused(probe):
    """
    By its own table and after unwrapping, whatever Python calls global.
    """
    address = ipaddress.ip_address(probe)

    assert not is_public(address)
    assert not Policy().permits("tnt_a", f"[{probe}]" if ":" in probe else probe, 443, scheme="https")
    assert not Policy().admits("tnt_a", "harmless.example", address, 443)


@pytest.mark.parametrize("probe", OUTSIDE)
def test_what_is_public_may_be_called(probe):
    """
    Also through a gateway that carries a public address inside.
    """
    assert Policy().permits("tnt_a", probe, 443, scheme="https")


@pytest.mark.parametrize(
    ("scheme", "port"),
    [("file", 443), ("gopher", 70), ("http", 25), ("https", 22), ("http", 0), ("", 70_000)],
)
def test_other_schemes_and_ports_are_refused(scheme, port):
    """
    HTTP is spoken to what speaks HTTP.
    """
    assert not Policy().permits("tnt_a", "vendor.example", port, scheme=scheme)


@pytest.mark.parametrize(
    ("allow", "host", "address", "port", "permitted"),
    [
        ("10.1.0.0/16", "erp.corp", "10.1.2.3", 443, True),
        ("10.1.0.0/16", "erp.corp", "10.2.2.3", 443, False),
        ("10.1.0.0/16", "erp.corp", "::ffff:10.1.2.3", 443, True),
        ("10.1.0.0/16:5432", "db.corp", "10.1.2.3", 443, False),
        ("[fd00::/8]:443", "db.corp", "fd00::1", 443, True),
        ("*.corp", "erp.corp", "10.2.2.3", 443, True),
        ("*.corp:443", "erp.corp", "10.2.2.3", 80, False),
        ("localhost", "localhost", "127.0.0.1", 80, True),
        ("localhost", "other", "127.0.0.1", 80, False),
        ("127.0.0.0/8, ::1", "localhost", "::1", 80, True),
    ],
)
def test_an_operator_opens_networks_and_names(allow, host, address, port, permitted):
    """
    By network, name or domain, with a port where wanted.
    """
    policy = Policy.of(allow=allow)

    assert policy.admits("tnt_a", host, ipaddress.ip_address(address), port) is permitted


def test_a_tenant_may_have_rules_of_its_own():
    """
    What they open is open to it alone; what they close stays closed.
    """
    rules = {"tnt_a": {"allow": ["10.0.0.0/8"], "only": ["*.vendor.example", "10.0.0.5"]}}
    policy = Policy.of(tenants=rules)

    assert policy.permits("tnt_a", "api.vendor.example", 443)
    assert policy.permits("tnt_a", "10.0.0.5", 443)
    assert not policy.permits("tnt_a", "10.0.0.6", 443)
    assert not policy.permits("tnt_a", "other.example", 443)
    assert not policy.permits("tnt_b", "10.0.0.5", 443)
    assert policy.permits("tnt_b", "other.example", 443)


@pytest.mark.parametrize("rule", ["http://x", "10.0.0.0/99", "/etc"])
def test_what_is_no_rule_is_refused(rule):
    """
    A slip of the pen opens nothing.
    """
    with pytest.raises(ValueError, match="neither"):
        Policy.of(allow=rule)


def test_everything_is_everything():
    """
    For whoever runs a connector by hand.
    """
    assert EVERYTHING.permits("", "127.0.0.1", 8080, scheme="http")
