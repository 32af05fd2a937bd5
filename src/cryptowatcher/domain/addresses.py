"""Which addresses of the network may be asked: what users type must never become a request into a private one.

A name is looked up once, all its addresses are judged here, and the connection goes to the very address that was
judged. Python's own `is_global` is not enough: it calls addresses global that only wrap a private one (NAT64,
6to4, Teredo, IPv4-mapped), and multicast too.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

import msgspec

from cryptowatcher.errors import ConfigError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

PORTS: Final = frozenset({80, 443})
"""Of those below 1024 the only ones that speak HTTP: the others belong to mail, files and shells."""
MAIL_PORTS: Final = frozenset({25, 465, 587})

_GLOBAL_6: Final = IPv6Network("2000::/3")
"""All that was ever given out of version 6. The rest is for one machine or network, or wraps something."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
"""How networks without version 4 reach it: what is inside decides."""

_FORBIDDEN: Final[tuple[Network, ...]] = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this host, and a way to say loopback
            "10.0.0.0/8",
            "100.64.0.0/10",  # shared by carriers, clouds and VPNs
            "127.0.0.0/8",
            "168.63.129.16/32",  # of public look, and a cloud's word to its own machines
            "169.254.0.0/16",  # link-local: metadata of clouds
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "2001::/23",  # protocol assignments, Teredo among them
            "2001:db8::/32",
            "2002::/16",  # 6to4: given up, and a way to say any address of version 4
            "3fff::/20",
        ),
    )
)


class Outbound(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What messages may be sent to. Addresses of private networks and of this machine are refused, whoever names
    them and however, unless they stand here.

    allow: networks of yours that channels may reach all the same, as 192.168.1.0/24 or fd00::/8; an address alone
           is a network of one; 127.0.0.0/8 is this machine
    """

    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.networks()

    def networks(self) -> tuple[Network, ...]:
        """ConfigError for what is no network."""
        return tuple(_network(text, number) for number, text in enumerate(self.allow))

    def allows(self, address: Address) -> bool:
        """Whether it may be asked: it, and each address that it stands for, is public or listed."""
        networks = self.networks()
        return all(
            _is_public(each) or any(_is_in(each, network) for network in networks) for each in unwrapped(address)
        )


def unwrapped(address: Address) -> tuple[Address, ...]:
    """What is to be judged: the address itself, or the one of version 4 that is asked through it."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped:
        return (address.ipv4_mapped,)
    if address in _NAT64:
        return (IPv4Address(int(address) & 0xFFFF_FFFF),)
    if address.sixtofour:
        return (address, address.sixtofour)
    if address.teredo:
        return (address, *address.teredo)
    return (address,)


def parse_address(text: str) -> Address:
    """ValueError when it is none. What a look-up adds (`%eth0`) counts for nothing."""
    return ip_address(text.partition("%")[0])


def is_loopback(text: str) -> bool:
    """Whether it is an address of this machine alone. What is no address is none."""
    try:
        return unwrapped(parse_address(text))[-1].is_loopback
    except ValueError:
        return False


def may_use(port: int, *, mail: bool = False) -> bool:
    """Whether a message may go to that port. `mail`: by SMTP, else by HTTP."""
    return port in (MAIL_PORTS if mail else PORTS) or 1024 <= port <= 65535


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _GLOBAL_6:
        return False
    return address.is_global and not any(_is_in(address, network) for network in _FORBIDDEN)


def _is_in(address: Address, network: Network) -> bool:
    return address.version == network.version and address in network


def _network(text: str, number: int) -> Network:
    try:
        return ip_network(text.strip())
    except ValueError:
        hint = "write it like 192.168.1.0/24, 10.0.0.7 or fd00::/8; the bits after the length are 0"
        message = f"{text[:60]!r} is not a network"
        raise ConfigError(message, where=f"outbound.allow[{number}]", hint=hint) from None
