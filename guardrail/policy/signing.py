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

NAME = "signature.json"
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


def manifest(folder: Path) -> dict[str, str]:
    """Every YAML file of a pack and its SHA-256, by path within the folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.yaml"))
    }


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


def sign(folder: Path, pack: str, key: Ed25519PrivateKey, *, who: str, role: str, when: str, why: str) -> Signature:
    """Sign a pack as it lies in its folder, and put the signature beside it. Raises ``OSError``."""
    public = public_line(key.public_key()).removeprefix(PREFIX)
    unsigned = Signature(pack, manifest(folder), who, role, when, why, public)
    made = base64.b64encode(key.sign(unsigned.canonical())).decode()
    signature = msgspec.structs.replace(unsigned, signature=made)
    text = msgspec.json.format(msgspec.json.encode(signature, order="deterministic"), indent=2)
    (folder / NAME).write_bytes(text + b"\n")
    return signature


def verify(folder: Path) -> Signature:
    """The signature of a pack, if it is whole and of these very files. Raises ``SigningError``.

    Whose key it is nobody has said yet: see ``Trust``.
    """
    found = _read(folder)
    now = manifest(folder)
    for name in sorted({*now, *found.files}):
        if now.get(name) != found.files.get(name):
            state = "was removed" if name not in now else "is new" if name not in found.files else "was altered"
            raise SigningError(f"{folder / name}: {state} after the pack was signed by {found.signer}; sign it again")
    return found


def _read(folder: Path) -> Signature:
    path = folder / NAME
    try:
        if path.stat().st_size > _LARGEST:
            raise SigningError(f"{path}: is no signature; sign the pack again")
        found = msgspec.json.decode(path.read_bytes(), type=Signature)
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(found.key, validate=True))
        public.verify(base64.b64decode(found.signature, validate=True), found.canonical())
    except FileNotFoundError as error:
        raise SigningError(f"{folder}: is not signed; have it signed with guardrail policy sign") from error
    except OSError as error:
        raise SigningError(f"{path}: cannot be read ({(error.strerror or 'error').lower()})") from error
    except InvalidSignature as error:
        raise SigningError(f"{path}: the signature does not belong to what it signs; sign the pack again") from error
    except SigningError:
        raise
    except (ValueError, msgspec.MsgspecError) as error:
        raise SigningError(f"{path}: is no signature; sign the pack again") from error
    return found


class Trust(msgspec.Struct, frozen=True):
    """Whose signatures count. No ``keys``: any whole signature does. ``needed``: every pack must have one."""

    keys: frozenset[str] = frozenset()
    needed: bool = False

    def required(self) -> Trust:
        return msgspec.structs.replace(self, needed=True)

    def signers(self, folders: Sequence[Path], problems: list[str]) -> list[str]:
        """Who has signed these packs, one for each that counts as signed. What is wrong is added to ``problems``
        where signatures are needed; elsewhere a pack without a good one is merely unsigned."""
        found = []
        for folder in folders:
            try:
                found.append(self._signer(folder))
            except SigningError as error:
                if self.needed:
                    problems.append(str(error))
        return found

    def _signer(self, folder: Path) -> str:
        signature = verify(folder)
        if self.keys and signature.key not in self.keys:
            what = f"the key {PREFIX}{signature.key} is not among trusted_keys; add it, or have the pack signed anew"
            raise SigningError(f"{folder / NAME}: {what}")
        return signature.signer


ANYBODY = Trust()
