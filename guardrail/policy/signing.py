"""Who released a pack: Ed25519 over a list of its files' hashes, with who, in which role, when and why.

The signature lies beside the pack's files as ``signature.json``. It says that these very bytes were released by
the holder of a key; whether that key is a clinical lead's is for the operator to say (``trusted_keys``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from guardrail.policy.contents import SIGNATURE, Contents

NAME = SIGNATURE
PREFIX = "ed25519 "
_LARGEST = 1024 * 1024


class SigningError(ValueError):
    """A key or signature cannot be used. ``str(error)`` is one line: what is wrong, where; what to do."""


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is signed, and the signature over it. ``files``: path in the pack to SHA-256; ``key``, ``signature``:
    base64."""

    pack: str
    files: dict[str, str]
    who: str
    role: str
    when: str
    why: str
    key: str
    signature: str = ""

    def canonical(self) -> bytes:
        """The bytes that are signed: JSON with its keys in order, without the signature."""
        unsigned = msgspec.structs.asdict(msgspec.structs.replace(self, signature=""))
        return msgspec.json.encode(unsigned, order="deterministic")

    @property
    def signer(self) -> str:
        return f"{self.who} ({self.role})"


def new_key() -> tuple[bytes, str]:
    """A private key (PKCS 8, PEM) and the public line that belongs to it."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, public_line(key.public_key())


def public_line(key: Ed25519PublicKey) -> str:
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return PREFIX + base64.b64encode(raw).decode()


def fingerprint(key: str) -> str:
    """A short name of a public key (base64), to compare by voice."""
    digest = hashlib.sha256(base64.b64decode(key)).hexdigest()[:16]
    return "-".join(digest[i : i + 4] for i in range(0, 16, 4))


def read_private(path: Path) -> Ed25519PrivateKey:
    """A private key's file. Raises ``SigningError``."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise SigningError(f"{path}: cannot be read ({(error.strerror or 'error').lower()})") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SigningError(f"{path}: holds no private key; make one with guardrail policy keys NAME") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningError(f"{path}: is no Ed25519 key; make one with guardrail policy keys NAME")
    return key


def read_public(given: str) -> str:
    """A trusted key: the line itself (``ed25519 BASE64``), or a file that holds it. Gives its base64.

    Raises ``SigningError``.
    """
    line = given
    if not given.startswith(PREFIX):
        try:
            line = Path(given).read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise SigningError(f"{given}: cannot be read as a public key; name a .pub file, or ed25519 KEY") from error
    try:
        raw = base64.b64decode(line.removeprefix(PREFIX).split()[0], validate=True)
        Ed25519PublicKey.from_public_bytes(raw)
    except (ValueError, IndexError, binascii.Error) as error:
        raise SigningError(f"{given[:80]}: is no Ed25519 public key; write ed25519 KEY, as in the .pub file") from error
    return base64.b64encode(raw).decode()


def sign(
    contents: Contents, pack: str, key: Ed25519PrivateKey, *, who: str, role: str, when: str, why: str
) -> Signature:
    """Sign a pack as it was read, and put the signature beside it. Raises ``OSError``."""
    public = public_line(key.public_key()).removeprefix(PREFIX)
    unsigned = Signature(pack, contents.manifest(), who, role, when, why, public)
    made = base64.b64encode(key.sign(unsigned.canonical())).decode()
    signature = msgspec.structs.replace(unsigned, signature=made)
    text = msgspec.json.format(msgspec.json.encode(signature, order="deterministic"), indent=2)
    (contents.folder / NAME).write_bytes(text + b"\n")
    return signature


def verify(contents: Contents) -> Signature:
    """The signature of a pack, if it is whole and of these very bytes. Raises ``SigningError``.

    Whose key it is nobody has said yet: see ``Trust``.
    """
    if contents.problems:
        raise SigningError(contents.problems[0])
    found = _read(contents)
    now = contents.manifest()
    for name in sorted({*now, *found.files}):
        if now.get(name) != found.files.get(name):
            state = "was removed" if name not in now else "is new" if name not in found.files else "was altered"
            where = contents.folder / name
            raise SigningError(f"{where}: {state} after the pack was signed by {found.signer}; sign it again")
    return found


def _read(contents: Contents) -> Signature:
    path, data = contents.folder / NAME, contents.signature
    if data is None:
        raise SigningError(f"{contents.folder}: is not signed; have it signed with guardrail policy sign")
    if len(data) > _LARGEST:
        raise SigningError(f"{path}: is no signature; sign the pack again")
    try:
        found = msgspec.json.decode(data, type=Signature)
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(found.key, validate=True))
        public.verify(base64.b64decode(found.signature, validate=True), found.canonical())
    except InvalidSignature as error:
        raise SigningError(f"{path}: the signature does not belong to what it signs; sign the pack again") from error
    except (ValueError, msgspec.MsgspecError) as error:
        raise SigningError(f"{path}: is no signature; sign the pack again") from error
    return found


class Trust(msgspec.Struct, frozen=True):
    """Whose signatures count. No ``keys``: any whole signature does. ``needed``: every pack must have one."""

    keys: frozenset[str] = frozenset()
    needed: bool = False

    def required(self) -> Trust:
        return msgspec.structs.replace(self, needed=True)

    def signed_by(self, packs: Sequence[Contents], problems: list[str]) -> str:
        """Who answers for all of these packs together; empty unless each is signed by one of ``keys``.

        Whoever reads a record must not take one signed pack, or a name that anybody can write, for a release of the
        whole. ``problems``: as for ``signers``.
        """
        signers = self.signers(packs, problems)
        is_whole = bool(self.keys) and len(signers) == len(packs)
        return "; ".join(dict.fromkeys(signers)) if is_whole else ""

    def signers(self, packs: Sequence[Contents], problems: list[str]) -> list[str]:
        """Who has signed these packs, one for each that counts as signed. What is wrong is added to ``problems``
        where signatures are needed; elsewhere a pack without a good one is merely unsigned."""
        found = []
        for pack in packs:
            try:
                found.append(self._signer(pack))
            except SigningError as error:
                if self.needed:
                    problems.append(str(error))
        return found

    def _signer(self, pack: Contents) -> str:
        signature = verify(pack)
        if self.keys and signature.key not in self.keys:
            what = f"the key {PREFIX}{signature.key} is not among trusted_keys; add it, or have the pack signed anew"
            raise SigningError(f"{pack.folder / NAME}: {what}")
        return signature.signer


ANYBODY = Trust()
