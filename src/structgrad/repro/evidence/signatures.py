"""Signatures of attestations by ssh keys, made and checked by ``ssh-keygen`` without any network.

The signature of ``NAME.json`` is ``NAME.json.sig``, in OpenSSH's format (its PROTOCOL.sshsig), with the namespace
:data:`NAMESPACE`, so that no other thing that the key signs can pass for an attestation.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from structgrad.errors import UserError

NAMESPACE = "structgrad-attestation"
SUFFIX = ".sig"
SIGSTORE = ".sigstore.json"  # a bundle that somebody put beside; nothing here makes or checks one
TOOL = "ssh-keygen"
MISSING = f"there is no {TOOL} here: install OpenSSH 8.9 or newer, or leave signatures aside"


def signature_of(path: Path) -> Path:
    """Where the signature of a file lies."""
    return path.with_name(path.name + SUFFIX)


def available() -> bool:
    """Whether signatures can be checked here."""
    return shutil.which(TOOL) is not None


def check_key(key: Path) -> None:
    """Whether one could sign with it.

    Raises:
        UserError: there is no such key, or no ssh-keygen.
    """
    if not key.is_file():
        raise UserError(f"--key: there is no key {key}; `ssh-keygen -t ed25519` makes one")
    if not available():
        raise UserError(MISSING)


def sign(path: Path, key: Path) -> Path:
    """Sign a file with a private key, or with the agent's key for a public one, and return the signature's path.

    Raises:
        UserError: there is no such key, no ssh-keygen, or it cannot sign.
    """
    check_key(key)
    signature_of(path).unlink(missing_ok=True)  # ssh-keygen would ask
    done = _run("sign", "-f", str(key), "-n", NAMESPACE, str(path))
    if done.returncode:
        raise UserError(f"--key: {key} cannot sign: {_reason(done)}")
    return signature_of(path)


def fault(path: Path) -> str | None:
    """What is wrong with a file's signature, whoever made it; None where it is of this very content."""
    done = _run("check-novalidate", "-n", NAMESPACE, "-s", str(signature_of(path)), stdin=path)
    return _reason(done) if done.returncode else None


def signer(path: Path, allowed: Path) -> str | None:
    """Who of an allowed-signers file signed this content; None where nobody of them did.

    Raises:
        UserError: there is no such file, or no ssh-keygen.
    """
    if not allowed.is_file():
        raise UserError(f"--signers: there is no file {allowed}; `man ssh-keygen`, ALLOWED SIGNERS, says what it holds")
    if not signature_of(path).is_file():
        return None
    signed = ("-s", str(signature_of(path)))
    found = _run("find-principals", "-f", str(allowed), *signed)
    for who in found.stdout.decode(errors="replace").splitlines():
        if not _run("verify", "-f", str(allowed), "-I", who, "-n", NAMESPACE, *signed, stdin=path).returncode:
            return who
    return None


def _run(what: str, *arguments: str, stdin: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    try:
        content = stdin.read_bytes() if stdin else b""
        return subprocess.run([TOOL, "-Y", what, *arguments], input=content, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise UserError(MISSING) from error


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "it says nothing"
