"""Mail, through a real mail server."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from random import Random
from typing import Any, cast

import msgspec
import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.adapters.channels.email import Email, EmailConfig, as_mail
from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.domain.addresses import Outbound
from cryptowatcher.domain.texts import AlertText
from cryptowatcher.errors import ConfigError, Error, Refused, Unavailable
from cryptowatcher.ports import Channel, Deps
from cryptowatcher.testing.contracts.channel import (
    PICTURE,
    Gallery,
    PictureContract,
    sample_alert,
    sample_message,
)

PASSWORD = "correct horse"
HERE = Outbound(allow=("127.0.0.0/8",))


class Mailbox:
    """What came in, and what the server answers at each step; empty: as it should."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answers: dict[str, str] = {}
        self.hang: str = ""
        self.no_files = False

    async def handle_RCPT(  # noqa: N802  the server's name for it
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if "rcpt" in self.answers:
            return self.answers["rcpt"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  as above
        if self.hang == "data":
            await asyncio.Event().wait()
        if "data" in self.answers:
            return self.answers["data"]
        content = envelope.content
        assert isinstance(content, bytes)
        if self.no_files and b"image/png" in content:
            return "552 5.3.4 message too big"
        self.mails.append(message_from_bytes(content, policy=policy.default))
        return "250 OK queued as 4711"


class Post:
    """A mail server, and the channel to it."""

    def __init__(self, channel: Channel, box: Mailbox, server: asyncio.Server) -> None:
        self.channel = channel
        self.box = box
        self.server = server

    async def arrived(self) -> list[str]:
        return [f"{mail['Subject']}\n{_words(mail, 'plain')}" for mail in self.box.mails]

    async def pictures(self) -> list[bytes]:
        parts = [part for mail in self.box.mails for part in mail.walk()]
        return [bytes(part.get_content()) for part in parts if part.get_content_type() == "image/png"]

    async def refuse_pictures(self) -> None:
        self.box.no_files = True

    async def break_down(self) -> None:
        self.server.close()
        await self.server.wait_closed()


def _words(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def _authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    assert isinstance(data, LoginPassword)
    return AuthResult(success=data.password == PASSWORD.encode(), handled=False)


@asynccontextmanager
async def posted(
    *, password: str = "", tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None, **changed: Any
) -> AsyncIterator[Post]:
    """tls: the server's and the client's"""
    box = Mailbox()
    protected: dict[str, Any] = {}
    if tls:
        protected = {"require_starttls": True, "tls_context": tls[0], "auth_required": bool(password)}
        protected |= {
            "authenticator": _authenticate,
            "auth_require_tls": True,
            "auth_exclude_mechanism": ["LOGIN"],
        }
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(box, hostname="mail.test", loop=loop, enable_SMTPUTF8=True, **protected),
        "127.0.0.1",
        0,
    )
    port = server.sockets[0].getsockname()[1]
    settings: dict[str, Any] = {
        "name": "mail",
        "server": "127.0.0.1",
        "port": port,
        "security": "starttls" if tls else "none",
        "sender": "Prices <watcher@example.org>",
        "to": "me@example.org",
        "timeout": "30s",
    }
    if password:
        settings |= {"username": "watcher", "password_file": "password"}
    config = EmailConfig(**(settings | changed))
    channel = Email(config, password or None, HERE, tls=tls[1] if tls else None)
    try:
        yield Post(channel, box, server)
    finally:
        server.close()


class TestEmail(PictureContract):
    def outside(self) -> AbstractAsyncContextManager[Gallery]:
        return posted()


def send(arrange: Callable[[Post], None] = lambda post: None, **settings: Any) -> tuple[str, list[EmailMessage]]:
    async def main() -> tuple[str, list[EmailMessage]]:
        async with posted(**settings) as post:
            arrange(post)
            return await post.channel.send(sample_message(sample_alert())), post.box.mails

    return asyncio.run(main())


def test_a_mail_has_its_words_twice_and_the_server_s_answer_is_the_receipt() -> None:
    receipt, [mail] = send()
    assert "4711" in receipt
    assert mail["From"] == "Prices <watcher@example.org>"
    assert mail["To"] == "me@example.org"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "bitcoin/usd" in mail["Subject"]
    assert "Price 50,123.5 usd." in _words(mail, "plain")
    assert "Price 50,123.5 usd." in _words(mail, "html")


def test_a_picture_travels_inside_the_mail_and_stands_in_its_html() -> None:
    message = msgspec.structs.replace(sample_message(sample_alert()), picture=PICTURE)
    mail = as_mail(message, sender="a@b.org", to="c@d.org")
    read = message_from_bytes(mail.as_bytes(), policy=policy.default)
    assert [part.get_content_type() for part in read.walk()] == [
        "multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png",
    ]  # fmt: skip
    image = list(read.walk())[-1]
    assert image.get_content_disposition() == "inline"
    assert f'src="cid:{image["Content-ID"].strip("<>")}"' in _words(read, "html")
    assert "Price 50,123.5 usd." in _words(read, "plain")
    without = as_mail(sample_message(sample_alert()), sender="a@b.org", to="c@d.org")
    assert "<img" not in _words(without, "html")
    assert without["Message-ID"] == mail["Message-ID"]


def test_the_same_alert_has_the_same_message_id_and_another_has_another() -> None:
    def id_of(number: int) -> str:
        return str(as_mail(sample_message(sample_alert(number)), sender="a@b.org", to="c@d.org")["Message-ID"])

    assert id_of(1) == id_of(1) != id_of(2)
    assert id_of(1).endswith("@b.org>")


@pytest.mark.parametrize(
    ("step", "answer", "kind", "reason"),
    [
        ("rcpt", "550 no such mailbox <secret@example.org>", Refused, "client_error"),
        ("rcpt", "450 mailbox busy", Unavailable, "server_error"),
        ("data", "552 too much mail", Refused, "client_error"),
        ("data", "451 try again", Unavailable, "server_error"),
        ("data", "554 5.7.1 looks like spam", Refused, "client_error"),
        ("data", "421 closing", Unavailable, "server_error"),
    ],
)
def test_what_an_answer_means(step: str, answer: str, kind: type[Error], reason: str) -> None:
    with pytest.raises(kind) as caught:
        send(lambda post: post.box.answers.update({step: answer}))
    assert getattr(caught.value, "reason", None) == reason
    assert answer[:3] in str(caught.value)
    assert "secret" not in f"{caught.value} {caught.value.__cause__!r} {caught.value.__context__}"[:60]


def test_a_server_that_hangs_is_not_waited_for_long() -> None:
    with pytest.raises(Unavailable) as caught:
        send(lambda post: setattr(post.box, "hang", "data"), timeout="1s")
    assert caught.value.reason == "timeout"


@pytest.mark.parametrize(
    "greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220", b"\xff\xfe\r\n", b"554 no\r\n"]
)
def test_what_is_no_mail_server_is_unavailable_or_refuses(greeting: bytes) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        async with server:
            config = EmailConfig(
                name="mail",
                server="127.0.0.1",
                port=server.sockets[0].getsockname()[1],
                security="none",
                sender="a@b.org",
                to="c@d.org",
                timeout="2s",
            )
            await Email(config, None, HERE).send(sample_message(sample_alert()))

    with pytest.raises((Unavailable, Refused)):
        asyncio.run(main())


def test_a_private_server_is_refused_unless_it_is_listed() -> None:
    async def main() -> None:
        async with posted() as post:
            strict = Email(cast("Email", post.channel)._config, None, Outbound())
            with pytest.raises(Refused) as caught:
                await strict.send(sample_message(sample_alert()))
            assert caught.value.reason == "forbidden_address"
            assert not post.box.mails

    asyncio.run(main())


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's certificate for 127.0.0.1, and a client that trusts it."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl (Debian package openssl)")
    folder = tmp_path_factory.mktemp("certificate")
    key, certificate = folder / "key.pem", folder / "cert.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=here -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*make.split(), "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=str(certificate))


def test_it_logs_in_over_an_encrypted_connection(certificates: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    _, mails = send(tls=certificates, password=PASSWORD)
    assert len(mails) == 1


def test_a_wrong_password_is_refused_and_not_told(certificates: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    with pytest.raises(Refused) as caught:
        send(tls=certificates, password="hunter2", timeout="20s")
    assert caught.value.reason == "unauthorized"
    assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_a_certificate_that_nobody_trusts_gets_no_mail(
    certificates: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    with pytest.raises(Unavailable) as caught:
        send(tls=(certificates[0], ssl.create_default_context()))
    assert caught.value.reason == "tls"


def test_a_server_that_cannot_encrypt_gets_no_mail() -> None:
    with pytest.raises(Refused) as caught:
        send(security="starttls")
    assert caught.value.reason == "client_error"


@given(title=st.text(max_size=300), body=st.text(max_size=2_000))
def test_no_text_makes_a_header_or_markup(title: str, body: str) -> None:
    clean = [text.encode("utf-8", "replace").decode() for text in (title, body)]
    message = msgspec.structs.replace(sample_message(sample_alert()), text=AlertText(*clean))
    mail = as_mail(message, sender="a@b.org", to="c@d.org")
    read = message_from_bytes(mail.as_bytes(), policy=policy.default)
    assert {"From", "To", "Subject", "Date", "Message-ID"} <= set(read.keys())
    assert set(read.keys()) <= {*mail.keys()}
    assert "<script" not in _words(read, "html").replace("&lt;script", "")


@pytest.mark.parametrize(
    "changed",
    [
        {"server": "smtp example"},
        {"port": 70_000},
        {"sender": "nobody"},
        {"to": "a@b.org, c@d.org"},
        {"to": "a@b.org\r\nBcc: c@d.org"},
        {"username": "me"},
        {"password_file": "x"},
        {"username": "me", "password_file": "x", "password_variable": "Y"},
        {"username": "me", "password_file": "x", "security": "none"},
    ],
)
def test_settings_that_make_no_sense_say_so(changed: dict[str, Any]) -> None:
    good: dict[str, Any] = {"name": "mail", "server": "smtp.example.org", "sender": "a@b.org", "to": "c@d.org"}
    EmailConfig(**good)
    with pytest.raises(ConfigError) as caught:
        EmailConfig(**(good | changed))
    assert caught.value.where.startswith("channels.mail")


def test_the_password_comes_from_where_it_is_said_to_be(tmp_path: Path) -> None:
    named: list[tuple[str | None, str | None]] = []

    def secret(*, file: str | None, variable: str | None, where: str) -> str | None:
        named.append((file, variable))
        return "x"

    async def main() -> None:
        config = EmailConfig(
            name="mail", server="s.org", sender="a@b.org", to="c@d.org", username="me", password_file="p"
        )
        async with config.open(Deps(clock=SystemClock(), secret=secret, random=Random(1))) as channel:
            assert channel.name == "mail"

    asyncio.run(main())
    assert named == [("p", None)]
