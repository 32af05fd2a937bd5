"""The page's port: bound with clear errors, inherited without being closed."""

from __future__ import annotations

import socket
import sys
import threading

import pytest

from cryptowatcher.errors import ConfigError
from cryptowatcher.listening import OURS, SEND_BUFFER, listen, listening
from tests.processes import PATIENCE, ran


def occupied() -> tuple[socket.socket, int]:
    """A port that another program has."""
    sock = socket.create_server(("127.0.0.1", 0))
    return sock, sock.getsockname()[1]


def test_a_taken_port_is_named_with_what_to_do() -> None:
    blocker, port = occupied()
    with blocker, pytest.raises(ConfigError) as caught:
        listen("127.0.0.1", port, patience=0.02, pause=0.01)
    assert caught.value.where == "web.port"
    assert str(port) in caught.value.message
    assert f"port = {port + 1}" in caught.value.hint


def test_a_port_that_becomes_free_is_taken() -> None:
    blocker, port = occupied()
    freed = threading.Timer(0.05, blocker.close)
    freed.start()
    with listen("127.0.0.1", port, patience=60, pause=0.001) as sock:
        assert sock.getsockname()[1] == port
    freed.join(PATIENCE)


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        listen("192.0.2.1", 0)
    assert caught.value.where == "web.host"


def test_the_kernel_keeps_little_for_clients_that_do_not_read() -> None:
    with listen("127.0.0.1", 0) as sock, socket.create_connection(sock.getsockname()):
        sock.setblocking(True)
        accepted, _ = sock.accept()
        with accepted:
            # Linux counts its own book-keeping too and says twice what was asked for
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * SEND_BUFFER


def test_ipv6_is_served_too() -> None:
    try:
        probe = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    probe.close()
    with listen("::1", 0) as sock:
        assert sock.family == socket.AF_INET6


INHERIT = """
import os, sys
from cryptowatcher.listening import listening
given, host, port, name = sys.argv[1:]
os.dup2(int(given), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": name}
with listening(host, int(port), os.environ, patience=0.01) as door:
    print(door.port, door.given, "LISTEN_FDS" in os.environ, os.get_inheritable(door.sockets[0].fileno()))
"""


def inherited(sock: socket.socket, host: str, port: int, name: str) -> list[str]:
    """What a process makes of a socket that it finds at descriptor 3."""
    done = ran(sys.executable, "-c", INHERIT, str(sock.fileno()), host, str(port), name, pass_fds=[sock.fileno()])
    return done.stdout.split() or [done.stderr.strip().splitlines()[-1]]


def test_a_socket_that_was_given_is_used_whatever_its_address() -> None:
    sock, port = occupied()
    with sock:
        assert inherited(sock, "127.0.0.1", 1, "web") == [str(port), "True", "False", "False"]


def test_a_socket_of_our_own_is_kept_while_it_is_where_the_configuration_says() -> None:
    sock, port = occupied()
    with sock:
        assert inherited(sock, "127.0.0.1", port, OURS) == [str(port), "False", "False", "False"]
        assert inherited(sock, "127.0.0.1", 0, OURS)[0] == str(port)


def test_a_socket_of_our_own_is_left_when_the_configuration_names_another_port() -> None:
    sock, _ = occupied()
    other, wanted = occupied()
    other.close()
    with sock:
        assert inherited(sock, "127.0.0.1", wanted, OURS)[:2] == [str(wanted), "False"]


def test_what_is_no_listening_socket_is_refused() -> None:
    with socket.socket() as sock:
        (said,) = inherited(sock, "127.0.0.1", 0, "web")
        assert "no listening stream socket" in said


def test_sockets_that_were_handed_to_another_process_are_not_ours() -> None:
    environ = {"LISTEN_PID": "1", "LISTEN_FDS": "1"}
    with listening("127.0.0.1", 0, environ) as door:
        assert not door.given
    assert environ == {}


HAND_OVER = """
import os, sys
from cryptowatcher.listening import listening
with listening("127.0.0.1", 0, os.environ) as door:
    lives = int(os.environ.get("LIVES", "0"))
    print(door.port, os.getpid(), flush=True)
    if lives < 3:
        os.environ["LIVES"] = str(lives + 1)
        door.hand_over(os.environ)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
"""


def test_the_port_goes_from_life_to_life_of_one_process() -> None:
    lives = ran(sys.executable, "-c", HAND_OVER).stdout.splitlines()
    assert len(lives) == 4
    assert len(set(lives)) == 1
