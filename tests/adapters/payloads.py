"""Ways to name an address that must not be asked."""

from __future__ import annotations

from ipaddress import IPv4Address

PRIVATE_4 = (
    "127.0.0.1",
    "127.0.0.2",
    "0.0.0.0",
    "10.0.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
)
SPELLED = ("127.0.0.1", "127.0.0.2", "0.0.0.0", "10.0.0.1", "100.100.100.200", "169.254.169.254", "192.168.1.1")
"""Those of them that are tried in all ways."""
PRIVATE_6 = (
    "::",
    "::1",
    "0:0:0:0:0:0:0:1",
    "100::1",
    "2001:2::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "64:ff9b:1::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
)
NAMES = (
    "localhost",
    "LOCALHOST",
    "localhost.",
    "ⓛocalhost",
    "sub.localhost",
    "loopback.test",
    "LOOPBACK.test.",
    "six.test",
    "mixed.test",
    "mixed-six.test",
    "metadata.test",
    "xn--bcher-kva.test",
    "bücher.test",
    "nothing.test",
)
"""Besides `localhost`, those that the suite's own resolver knows."""


def wrapped(address: str) -> list[str]:
    """Addresses of version 6 that stand for one of version 4."""
    number = int(IPv4Address(address))
    high, low = number >> 16, number & 0xFFFF
    turned = f"{high ^ 0xFFFF:x}:{low ^ 0xFFFF:x}"
    return [
        f"::ffff:{address}",
        f"::ffff:{high:x}:{low:x}",
        f"0000:0000:0000:0000:0000:FFFF:{high:04X}:{low:04X}",
        f"::{high:x}:{low:x}",
        f"::ffff:0:{address}",
        f"2002:{high:x}:{low:x}::1",
        f"2001:0:{high:x}:{low:x}:8000:63bf:f7f7:f7f7",
        f"2001:0:808:808:8000:63bf:{turned}",
        f"64:ff9b::{address}",
        f"64:ff9b:1::{address}",
    ]


def spellings(address: str) -> list[str]:
    """Hosts that some parser takes for an address of version 4, or for one that stands for it."""
    number = int(IPv4Address(address))
    a, b, c, d = IPv4Address(number).packed
    plain = [
        address,
        f"{number}",
        f"{number:#x}",
        f"0{number:o}",
        f"{a:#x}.{b:#x}.{c:#x}.{d:#x}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"{a}.{b:03}.{c:03}.{d:03}",
        f"{a}.{number & 0xFFFFFF}",
        f"{a}.{b}.{number & 0xFFFF}",
        f"{a:#x}.0{b:o}.{number & 0xFFFF}",
        f"{address}.",
        address.replace(".", "。"),
        address.translate({ord("0") + digit: ord("０") + digit for digit in range(10)}),
        address.translate({ord("1"): "①", ord("2"): "②", ord("0"): "⓪"}),
        "".join(f"%{ord(char):02x}" for char in address),
        f"{number + (1 << 32)}",
    ]
    inside = wrapped(address)
    return plain + [f"[{each}]" for each in inside] + [f"[{inside[0]}%25lo]"]


def hosts() -> list[str]:
    """As they stand in a URL."""
    four = [each for address in SPELLED for each in spellings(address)]
    six = [f"[{address}]" for address in PRIVATE_6] + ["[::1%25lo]", "[fe80::1%25lo]", "[::1]."]
    return [*dict.fromkeys([*four, *six, *NAMES])]


def disguises(trap: str, open_: str) -> list[str]:
    """What stands between the scheme and the path where two parsers may see two hosts. `trap`, `open_`: host and
    port of what must not and of what may be asked."""
    return [
        f"{open_}@{trap}",
        f"{open_}:80@{trap}",
        f"user:word@{trap}",
        f"@{trap}",
        f"{trap}\\@{open_}",
        f"{open_}\\@{trap}",
        f"{open_}\\.{trap}",
        f"{open_}#@{trap}",
        f"{open_}?@{trap}",
        f"{open_};@{trap}",
        f"{open_}%23@{trap}",
        f"{open_}%2f@{trap}",
        f"{open_}%00@{trap}",
        f"{open_}\t@{trap}",
        f"{open_}\r\nhost: {trap}",
        f"{open_} {trap}",
        f"{open_}&@{trap}",
        f"{open_}@@{trap}",
        f"[{open_}]@{trap}",
        f"{trap}/@{open_}",
        f"/{trap}",
        f"//{trap}",
        f"\\{trap}",
        f" {trap}",
        f"{trap} ",
        f"{trap}\x00",
        f"\u200b{trap}",
    ]
