"""Which addresses may be asked."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.adapters.http import look_up
from cryptowatcher.domain.addresses import Outbound, may_use, parse_address
from cryptowatcher.errors import ConfigError, Refused
from tests.adapters.payloads import PRIVATE_4, PRIVATE_6, wrapped

PUBLIC = ("1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001::1")
NEVER_4 = [
    ip_network(each)
    for each in ("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
                 "192.168.0.0/16", "224.0.0.0/3")
]  # fmt: skip


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_may_be_asked(text: str) -> None:
    assert Outbound().allows(parse_address(text))


@pytest.mark.parametrize("text", [*PRIVATE_4, *PRIVATE_6])
def test_private_addresses_may_not(text: str) -> None:
    assert not Outbound().allows(parse_address(text))


@pytest.mark.parametrize("text", [each for address in PRIVATE_4 for each in wrapped(address)])
def test_nor_may_those_that_stand_for_one(text: str) -> None:
    assert not Outbound().allows(parse_address(text))


def test_a_network_without_version_4_reaches_public_addresses_of_it() -> None:
    assert Outbound().allows(parse_address("64:ff9b::8.8.8.8"))
    assert Outbound().allows(parse_address("::ffff:8.8.8.8"))


@given(st.sampled_from(NEVER_4), st.integers(0, 2**32 - 1))
def test_no_address_of_a_private_network_gets_through_in_any_wrapping(network: object, number: int) -> None:
    assert isinstance(network, type(NEVER_4[0]))
    address = network[number % network.num_addresses]
    assert not Outbound().allows(address)
    assert not any(Outbound().allows(parse_address(each)) for each in wrapped(str(address)))


@given(st.integers(0, 2**128 - 1))
def test_of_version_6_only_what_was_given_out_is_public(number: int) -> None:
    address = IPv6Address(number)
    if Outbound().allows(address):
        inside = address.ipv4_mapped or (
            IPv4Address(number & 0xFFFFFFFF) if number >> 32 == 0x64FF9B << 64 else None
        )
        assert number >> 125 == 1 or (inside is not None and Outbound().allows(inside))


def test_what_is_listed_may_be_asked_and_its_neighbours_may_not() -> None:
    outbound = Outbound(allow=("192.168.1.0/24", "10.0.0.7", "fd00::/8"))
    for text in ("192.168.1.9", "10.0.0.7", "fd12::1", "::ffff:192.168.1.9", "64:ff9b::10.0.0.7"):
        assert outbound.allows(parse_address(text))
    for text in ("192.168.2.9", "10.0.0.8", "fe80::1", "::ffff:10.0.0.8", "2002:c0a8:109::1"):
        assert not outbound.allows(parse_address(text))


def test_one_listed_part_of_an_address_does_not_open_its_others() -> None:
    # Teredo has two addresses in it: its server's, and its client's.
    teredo = parse_address("2001:0:c0a8:109:8000:63bf:5601:5601")
    assert not Outbound(allow=("192.168.1.0/24",)).allows(teredo)
    assert not Outbound(allow=("::/0",)).allows(parse_address("::ffff:127.0.0.1"))


@pytest.mark.parametrize("text", ["", "x", "192.168.1.1/24", "10.0.0.0/33", "localhost", "127.1", "010.0.0.1"])
def test_what_is_no_network_is_said(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Outbound(allow=("10.0.0.0/8", text))
    assert caught.value.where == "outbound.allow[1]"


@pytest.mark.parametrize("port", [80, 443, 1024, 8080, 65535])
def test_ports_of_http_and_high_ones_may_be_used(port: int) -> None:
    assert may_use(port)


@pytest.mark.parametrize("port", [-1, 0, 21, 22, 23, 25, 53, 110, 143, 445, 465, 587, 993, 1023, 65536])
def test_ports_of_other_services_may_not(port: int) -> None:
    assert not may_use(port)


def test_mail_goes_to_ports_of_mail() -> None:
    assert [port for port in range(1024) if may_use(port, mail=True)] == [25, 465, 587]


@pytest.mark.parametrize(
    "found",
    [
        ["127.0.0.1"],
        ["8.8.8.8", "127.0.0.1"],
        ["127.0.0.1", "8.8.8.8"],
        ["2606:4700::1", "::1"],
        ["fe80::1%2"],
        [],
    ],
)
def test_a_name_with_one_private_address_among_its_own_is_refused(found: list[str]) -> None:
    async def resolve(host: str) -> list[str]:
        return found

    with pytest.raises(Refused) as caught:
        asyncio.run(look_up("name.test", Outbound(), resolve))
    assert caught.value.reason == "forbidden_address"
    assert not any(each in str(caught.value) for each in found), "where a name leads is not told"


def test_a_name_is_looked_up_once_and_its_first_address_is_taken() -> None:
    asked: list[str] = []

    async def resolve(host: str) -> list[str]:
        asked.append(host)
        return ["8.8.8.8", "8.8.4.4"]

    assert asyncio.run(look_up("name.test", Outbound(), resolve)) == IPv4Address("8.8.8.8")
    assert asked == ["name.test"]
