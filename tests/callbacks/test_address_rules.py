"""Addresses of the Internet and others, in all their spellings."""

from __future__ import annotations

import pytest

from appliance.callbacks.address_rules import is_public_address


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "93.184.216.34",
        "192.88.98.255",
        "192.88.100.0",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
    ],
)
def test_address_is_public(address: str) -> None:
    assert is_public_address(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255"),
        *("192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192"),
        *("198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1"),
        *("::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::1"),
        *("2002:a00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe", "2001:db8::1"),
        *("192.88.99.1", "192.88.99.255", "::ffff:192.88.99.1", "5f00::1", "5f00:ffff::1"),
        *("127.1", "localhost", "", "x"),
    ],
)
def test_address_is_not_public(address: str) -> None:
    assert not is_public_address(address)
