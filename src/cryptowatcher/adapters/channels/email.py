"""Alerts by e-mail, through a mail server that takes them for its people.

A message has its words twice, plain and as HTML, and a Message-ID that is the same on every try: most programs to
read mail with show it once. There is no way to know whether a mail that was accepted is read: the receipt is what
the server said when it took it.

A picture stands in the HTML and travels inside the mail: nothing is fetched when it is read. A mail that is
refused with a picture goes out without.

What an answer means:

    2xx         accepted
    4xx, none   not now
    5xx         refused: the server would say the same again (a wrong password, no such recipient)
"""

from __future__ import annotations

import asyncio
import hashlib
import html
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.utils import format_datetime, parseaddr
from functools import cache
from typing import Final, Literal

import aiosmtplib
import msgspec

from cryptowatcher.adapters.http import look_up
from cryptowatcher.domain.addresses import Outbound, may_use
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.pictures import HEIGHT, WIDTH
from cryptowatcher.domain.texts import plain
from cryptowatcher.errors import ConfigError, Refused, Unavailable
from cryptowatcher.ports import Channel, Deps, Resolve
from cryptowatcher.ports.channel_settings import PictureSettings

Security = Literal["starttls", "tls", "none"]
_PORTS: Final[dict[Security, int]] = {"starttls": 587, "tls": 465, "none": 25}
_ADDRESS: Final = r"[^@\s<>\"(),:;\\\[\]]{1,64}@[A-Za-z0-9.-]{1,255}"
_PATTERNS: Final = {
    "to": re.compile(_ADDRESS),
    "sender": re.compile(rf"{_ADDRESS}|[^<>\"(),:;\\\[\]@\r\n]{{1,64}} <{_ADDRESS}>"),
}
_LONGEST_SUBJECT: Final = 200
_LONGEST_RECEIPT: Final = 200


class EmailConfig(PictureSettings, frozen=True, kw_only=True, tag="email", tag_field="kind"):
    """Mails each alert.

    server:   of whom takes mail, for example smtp.example.org
    port:     0: 587 for `starttls`, 465 for `tls`, 25 for `none`
    security: `starttls`: encrypted after a first word; `tls`: from the beginning; `none`: not at all
    sender:   who it is from: me@example.org, or "Prices <me@example.org>"
    to:       who gets it, one address
    username: whom the server knows; empty: nobody has to log in
    password_file, password_variable: where the password is
    """

    server: str
    sender: str
    to: str
    port: int = 0
    security: Security = "starttls"
    username: str = ""
    password_file: str | None = None
    password_variable: str | None = None
    timeout: str = "30s"
    rate: str = "30/m"

    AT_ONCE = 2
    TITLE = "E-mail"

    def __post_init__(self) -> None:
        PictureSettings.__post_init__(self)
        where = self.where
        if not re.fullmatch(r"[A-Za-z0-9.:-]{1,255}", self.server):
            raise ConfigError("not the name of a server", where=f"{where}.server", hint="write smtp.example.org")
        if not 0 <= self.port <= 65535:
            raise ConfigError("not a port", where=f"{where}.port")
        for field, pattern in _PATTERNS.items():
            if pattern.fullmatch(getattr(self, field)) is None:
                raise ConfigError("not an address", where=f"{where}.{field}", hint="write name@example.org")
        if bool(self.username) != bool(self.password_file or self.password_variable):
            raise ConfigError("a username and a password go together", where=f"{where}.username")
        if self.username and self.security == "none":
            hint = "use starttls or tls, or leave the username away"
            raise ConfigError("a password is not sent unencrypted", where=f"{where}.security", hint=hint)

    @asynccontextmanager
    async def open(self, deps: Deps) -> AsyncIterator[Channel]:
        yield Email(self, self.secret("password", deps), deps.outbound, resolve=deps.resolve)


class Email:
    """One connection a message: mail servers do not like those that stay."""

    def __init__(
        self,
        config: EmailConfig,
        password: str | None,
        outbound: Outbound,
        *,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        """`tls`: whom to trust; None: whom this machine trusts."""
        self._config = config
        self._password = password
        self._outbound = outbound
        self._resolve = resolve
        self._tls = tls or _trusted()

    @property
    def name(self) -> str:
        return self._config.name

    async def send(self, message: Message) -> str:
        until = asyncio.get_running_loop().time() + self._config.seconds
        try:
            return await self._mail(message, until)
        except Refused as error:
            if not message.picture or error.reason != "client_error":
                raise
            return await self._mail(msgspec.structs.replace(message, picture=b""), until)

    async def _mail(self, message: Message, until: float) -> str:
        config, mail = self._config, as_mail(message, sender=self._config.sender, to=self._config.to)
        said: str | None = None
        try:
            async with asyncio.timeout_at(until):
                connection = await self._connect()
                async with self._client(connection) as client:
                    if config.username and self._password is not None:
                        await client.login(config.username, self._password)
                    _, said = await client.send_message(mail)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            if said is None:  # else it was taken, and only the farewell failed
                # `from None`: what the library says may quote what was sent.
                raise translate(error, config) from None
        return _receipt(said)

    async def _connect(self) -> socket.socket:
        """To the address that was judged: the client looks no name up again."""
        config = self._config
        port = config.port or _PORTS[config.security]
        if not may_use(port, mail=True):
            raise Refused(f"{config.server}: port {port} takes no mail", reason="bad_url")
        address = await look_up(config.server, self._outbound, self._resolve)
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, (str(address), port))
        except BaseException:
            connection.close()
            raise
        return connection

    def _client(self, connection: socket.socket) -> aiosmtplib.SMTP:
        config = self._config
        return aiosmtplib.SMTP(
            hostname=config.server,
            sock=connection,
            use_tls=config.security == "tls",
            start_tls=config.security == "starttls",
            tls_context=self._tls,
            local_hostname=_domain(config.sender),
            timeout=config.seconds,
        )


@cache
def _trusted() -> ssl.SSLContext:
    """Reading the certificates of the world takes long: once for all channels."""
    return ssl.create_default_context()


def _receipt(said: str) -> str:
    return plain(said)[:_LONGEST_RECEIPT] or "accepted"


def as_mail(message: Message, *, sender: str, to: str) -> EmailMessage:
    """The message as a mail. Nothing in it can end a header: its subject is one line."""
    mail = EmailMessage(policy=WIRE)
    name, address = parseaddr(sender)
    mail["From"] = f"{plain(name)} <{address}>" if name else address
    mail["To"] = to
    mail["Subject"] = plain(message.text.title)[:_LONGEST_SUBJECT]
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.at / 1000, UTC))
    digest = hashlib.blake2b(message.id.encode(), digest_size=16).hexdigest()
    mail["Message-ID"] = f"<{digest}@{_domain(sender)}>"
    mail["Auto-Submitted"] = "auto-generated"
    body = "\n".join(map(plain, message.text.body.split("\n")))
    mail.set_content(f"{body}\n")
    shown = f"{digest}.png@{_domain(sender)}" if message.picture else ""
    mail.add_alternative(_as_html(message.text.title, body, message.link, shown), subtype="html")
    if shown:
        _enclose(mail, message.picture, shown)
    return mail


def _enclose(mail: EmailMessage, picture: bytes, id_: str) -> None:
    """Beside the HTML that shows it: whoever reads the plain words is not given a file."""
    page = mail.get_body(("html",))
    assert page is not None
    page.add_related(picture, "image", "png", cid=f"<{id_}>", disposition="inline", filename="price.png")


def translate(error: Exception, config: EmailConfig) -> Unavailable | Refused:
    """What went wrong, as one of ours, in our own words and the server's code."""
    server = config.server
    match error:
        case TimeoutError():
            return Unavailable(f"{server}: no answer within {config.seconds:g} s", reason="timeout")
        case aiosmtplib.SMTPRecipientsRefused(recipients=[first, *_]):
            return translate(first, config)
        case aiosmtplib.SMTPResponseException(code=code) if code >= 500:
            reason = "unauthorized" if code in (530, 534, 535, 538) else "client_error"
            return Refused(f"{server}: SMTP {code}{_what(error)}", reason=reason)
        case aiosmtplib.SMTPResponseException(code=code):
            return Unavailable(f"{server}: SMTP {code}{_what(error)}", reason="server_error")
        case ssl.SSLError():
            return Unavailable(f"{server}: no trustworthy TLS connection", reason="tls")
        case socket.gaierror():
            return Unavailable(f"{server}: the name cannot be looked up", reason="dns")
        case aiosmtplib.SMTPServerDisconnected():
            return Unavailable(f"{server}: the connection ended before the answer did", reason="cut")
        case OSError():
            return Unavailable(f"{server}: cannot connect", reason="connect")
        case aiosmtplib.SMTPException() if "not supported" in str(error):
            return Refused(f"{server}: it cannot do what is set (encryption, log in)", reason="client_error")
        case _:
            return Unavailable(f"{server}: it does not speak SMTP ({type(error).__name__})", reason="protocol")


def _what(error: aiosmtplib.SMTPResponseException | Exception) -> str:
    """At which step: the server's own words may quote addresses, and anything else."""
    steps: dict[type[Exception], str] = {
        aiosmtplib.SMTPAuthenticationError: " at log in",
        aiosmtplib.SMTPSenderRefused: " for the sender",
        aiosmtplib.SMTPRecipientRefused: " for the recipient",
        aiosmtplib.SMTPDataError: " for the message",
    }
    return next((words for kind, words in steps.items() if isinstance(error, kind)), "")


def _as_html(title: str, body: str, link: str, picture: str) -> str:
    """link: the one address that can be clicked; what else looks like one is text; picture: its Content-ID"""
    lines = "<br>\n".join(html.escape(line) for line in body.split("\n"))
    if link:
        shown = html.escape(link)
        lines = lines.replace(shown, f'<a href="{shown}">{shown}</a>')
    size = f'width="{WIDTH}" height="{HEIGHT}" style="max-width: 100%; height: auto"'
    image = f'<img src="cid:{picture}" alt="The price up to then" {size}>' if picture else ""
    return (
        '<!doctype html><html><body style="font-family: system-ui, sans-serif; line-height: 1.5">'
        f'<h2 style="font-size: 1.1rem">{html.escape(plain(title))}</h2><p>{lines}</p>{image}</body></html>\n'
    )


def _address(text: str) -> str:
    return parseaddr(text)[1]


def _domain(sender: str) -> str:
    return _address(sender).rpartition("@")[2]


SETTINGS = EmailConfig
