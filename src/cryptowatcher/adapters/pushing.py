"""What web push asks of a sender: messages only one browser can read (RFC 8291, RFC 8188), and a signed word of
who sends them (VAPID, RFC 8292). The mathematics are the library's.

Loading this takes 12 MB: only where something is pushed.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import Final
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cryptowatcher.ports.keys import PushKey

MOST: Final = 3_993
"""Bytes of a message: with its head, its seal and the mark of its end they are the 4,096 that are taken."""
_RECORD: Final = 4_096
_KEY: Final = 65
"""Bytes of a public key, uncompressed."""
_LASTS: Final = 12 * 3600
"""Seconds that a word of who sends is good for; 24 h are the most."""
_END: Final = b"\x02"


def to_text(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """ValueError when it is not base64url."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error


def new_push_key() -> PushKey:
    key = ec.generate_private_key(ec.SECP256R1())
    number = key.private_numbers().private_value
    return PushKey(private=to_text(number.to_bytes(32, "big")), public=to_text(_point(key.public_key())))


def private_key(data: bytes) -> ec.EllipticCurvePrivateKey:
    """From its 32 bytes. ValueError when they are none."""
    return ec.derive_private_key(int.from_bytes(data, "big"), ec.SECP256R1())


class Reader:
    """A browser that may read.

    p256dh: its public key; auth: 16 bytes that only it and we know. ValueError when they are no keys.
    """

    def __init__(self, p256dh: bytes, auth: bytes) -> None:
        self.public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), p256dh)
        if len(p256dh) != _KEY or len(auth) != 16:
            raise ValueError("not the keys of a subscription")
        self.p256dh = p256dh
        self.auth = auth

    def encrypted(
        self, message: bytes, *, salt: bytes | None = None, once: ec.EllipticCurvePrivateKey | None = None
    ) -> bytes:
        """As the body of a request with `content-encoding: aes128gcm`, at most MOST bytes of message.

        salt, once: of this message alone; given only to look at known examples
        """
        salt = salt or secrets.token_bytes(16)
        once = once or ec.generate_private_key(ec.SECP256R1())
        sender = _point(once.public_key())
        shared = once.exchange(ec.ECDH(), self.public)
        key, nonce = keys_of(shared, self.auth, salt, reader=self.p256dh, sender=sender)
        head = salt + _RECORD.to_bytes(4, "big") + bytes([_KEY]) + sender
        return head + AESGCM(key).encrypt(nonce, message + _END, None)


def keys_of(shared: bytes, auth: bytes, salt: bytes, *, reader: bytes, sender: bytes) -> tuple[bytes, bytes]:
    """The key and the nonce of a message, from what both sides know (RFC 8291 §3.4)."""
    both = _derived(shared, auth, b"WebPush: info\x00" + reader + sender, 32)
    key = _derived(both, salt, b"Content-Encoding: aes128gcm\x00", 16)
    return key, _derived(both, salt, b"Content-Encoding: nonce\x00", 12)


def who_sends(key: PushKey, endpoint: str, *, contact: str, now: int) -> str:
    """The header `authorization`: signed, for this push service alone, for some hours from `now` (epoch ms)."""
    parts = urlsplit(endpoint)
    claims = {"aud": f"{parts.scheme}://{parts.netloc}", "exp": now // 1000 + _LASTS, "sub": contact}
    token = f"{_json({'typ': 'JWT', 'alg': 'ES256'})}.{_json(claims)}"
    signature = private_key(from_text(key.private)).sign(token.encode(), ec.ECDSA(SHA256()))
    halves = b"".join(half.to_bytes(32, "big") for half in decode_dss_signature(signature))
    return f"vapid t={token}.{to_text(halves)}, k={key.public}"


def _json(value: object) -> str:
    return to_text(msgspec.json.encode(value))


def _derived(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(secret)


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
