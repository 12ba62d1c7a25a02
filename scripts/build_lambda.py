"""Build the archives of the function in AWS Lambda, byte for byte reproducible and without Docker.

    python scripts/build_lambda.py [--arch arm64] [--python 3.13] [--output dist] [--rds-bundle FILE]

An archive contains `lambda_entry.py`, the package from its wheel, and the pinned wheels of requirements/lambda.txt,
unpacked. pip downloads the wheels from its configured index, and they are kept in build/lambda: the next build
needs no network. Lambda provides boto3 and its dependencies.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import http.client
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT: Final = Path(__file__).resolve().parents[1]
ENTRY: Final = "lambda_entry.py"
LOCK: Final = "requirements/lambda.txt"
LIMIT: Final = 45_000_000
"""Bytes of an archive when it is unpacked."""

RUNTIME: Final = "3.13"
"""The Python that the functions of infra/ run in."""

MACHINES: Final = {"arm64": ("aarch64", 183), "x86_64": ("x86_64", 62)}
"""Lambda's name of an architecture: that of the wheels, and the number that ELF has for it."""

PLATFORMS: Final = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_26", "manylinux_2_17", "manylinux2014")
"""The wheels that run on Amazon Linux 2023, which has glibc 2.34, and on Debian 10 and newer; the best first."""

BUNDLE: Final = "dbschema/connect/global-bundle.pem"
"""Where `dbschema.connect.tls` looks for the authorities of RDS."""

_BUNDLE_ADDRESS: Final = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
_BUNDLE_VARIABLE: Final = "RDS_BUNDLE"

NEVER_USED: Final = (
    "*.pyc",
    "*.pyi",
    "*.pyx",
    "*.pxd",
    "*.c",
    "*.h",
    "*/__pycache__/*",
    "*-stubs/*",
    "sqlalchemy/testing/*",  # test suites for other people's dialects and plugins
    "alembic/testing/*",
    "alembic/templates/*",  # for `alembic init`
    "mako/testing/*",
    "mako/ext/*",
    "*.dist-info/RECORD*",  # lists files that are not in the archive
    "*.dist-info/top_level.txt",
)
"""METADATA, lists of parts and licences stay: they tell scanners what is in here, and people what they may do with it."""

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can say."""
_ELF: Final = b"\x7fELF"
_EXTENSION: Final = re.compile(r".*\.(?:cpython-(?P<python>\d+)\w*-[\w-]+|abi3)\.so")


class BuildError(Exception):
    """The archive cannot be built, or would be invalid; the text names the fix."""


@dataclass(frozen=True)
class Target:
    """The platform of an archive.

    Args:
        arch: "arm64" or "x86_64", the names in Lambda.
        python: such as "3.13"; tests that run the archive on this machine use versions other than `RUNTIME`.
    """

    arch: str
    python: str = RUNTIME

    @property
    def tag(self) -> str:
        """Return the tag in names of wheels and of compiled modules: cp313."""
        return f"cp{self.python.replace('.', '')}"


def build(
    target: Target, output: Path, *, root: Path = ROOT, cache: Path | None = None, bundle: bytes | None = None
) -> Path:
    """Build one archive.

    Args:
        target: the platform.
        output: the folder for `lambda-<arch>.zip`.
        root: the checkout.
        cache: the folder for wheels; None: `build/lambda` of the checkout.
        bundle: the certificates of RDS's authorities; None: the archive has none.

    Returns:
        The path of the archive.

    Raises:
        BuildError: something is missing, wrong for this target, or too large.
    """
    entry = root / ENTRY
    if not entry.is_file():
        raise BuildError(f"{entry} is missing. Build in a complete checkout.")
    cache = root / "build" / "lambda" if cache is None else cache
    files: dict[str, bytes] = {ENTRY: entry.read_bytes()}
    with tempfile.TemporaryDirectory() as folder:
        for wheel in (own_wheel(root, Path(folder)), *pinned_wheels(root / LOCK, target, cache)):
            for name, content in unpacked(wheel).items():
                if files.setdefault(name, content) != content:
                    raise BuildError(f"{wheel.name} has a {name} that differs from another wheel's.")
    if bundle is not None:
        files[BUNDLE] = bundle
    check(files, target)
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"lambda-{target.arch}.zip"
    write(path, files)
    size, packed = sum(map(len, files.values())), path.stat().st_size
    print(f"{path}: Python {target.python}, {size / 1e6:.1f} MB unpacked, {packed / 1e6:.1f} MB packed")
    return path


def own_wheel(root: Path, folder: Path) -> Path:
    """Build the wheel of this package from the checkout `root`."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    _run(command, root)
    return next(folder.glob("*.whl"))


def pinned_wheels(lock: Path, target: Target, cache: Path) -> list[Path]:
    """Return the wheels of a lock for one target; download missing ones. Each has a hash of the lock."""
    text = lock.read_bytes()
    folder = cache / f"{target.tag}-{target.arch}"
    stamp = folder / "fetched-for"
    known = hashlib.sha256(text).hexdigest()
    if not stamp.is_file() or stamp.read_text() != known:
        shutil.rmtree(folder, ignore_errors=True)
        machine, _ = MACHINES[target.arch]
        _run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
            + ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--requirement", str(lock)]
            + ["--implementation", "cp", "--python-version", target.python, "--dest", str(folder)]
            + [f"--platform={platform}_{machine}" for platform in PLATFORMS],
            lock.parent,
        )
        stamp.write_text(known)
    wheels = sorted(folder.glob("*.whl"))
    hashes = set(re.findall(rb"--hash=sha256:([0-9a-f]{64})", text))
    for wheel in wheels:
        if hashlib.sha256(wheel.read_bytes()).hexdigest().encode() not in hashes:
            raise BuildError(
                f"{wheel} is not the file that {lock.name} pins. Remove {folder} and build again."
            )
    return wheels


def unpacked(wheel: Path) -> dict[str, bytes]:
    """Return the files of a wheel that a function can use, by name."""
    found: dict[str, bytes] = {}
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            name = PurePosixPath(member.filename)
            if member.is_dir():
                continue
            if name.parts[0].endswith(".data"):
                if name.parts[1] not in {"purelib", "platlib"}:  # programs, headers, manual pages
                    continue
                name = PurePosixPath(*name.parts[2:])
            if not any(fnmatch.fnmatch(str(name), pattern) for pattern in NEVER_USED):
                found[str(name)] = archive.read(member)
    return found


def check(files: dict[str, bytes], target: Target) -> None:
    """Reject an archive that would fail in the function: libraries for another machine or Python, no revisions, too many bytes.

    Raises:
        BuildError: the first problem.
    """
    machine, number = MACHINES[target.arch]
    for name, content in sorted(files.items()):
        if content.startswith(_ELF):
            if int.from_bytes(content[18:20], "little") != number:
                raise BuildError(f"{name} is not for {machine}.")
            tagged = _EXTENSION.fullmatch(name)
            if tagged and tagged["python"] and f"cp{tagged['python']}" != target.tag:
                raise BuildError(f"{name} is not for Python {target.python}.")
    if not any(re.fullmatch(r"dbschema/migrations/_alembic/versions/[^/]+\.py", name) for name in files):
        raise BuildError("There are no revisions in alembic/versions. Build in a complete checkout.")
    size = sum(map(len, files.values()))
    if size > LIMIT:
        raise BuildError(
            f"Unpacked, the archive would have {size / 1e6:.1f} MB, more than {LIMIT / 1e6:.0f}. The largest: "
            f"{_largest(files)}. Leave out what no function needs: see {LOCK} and NEVER_USED."
        )


def _largest(files: dict[str, bytes]) -> str:
    """Describe the three largest folders, such as 'sqlalchemy 15.4 MB'."""
    sizes = Counter[str]()
    for name, content in files.items():
        sizes[name.partition("/")[0]] += len(content)
    return ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.most_common(3))


def write(path: Path, files: dict[str, bytes]) -> None:
    """Write a zip file whose bytes depend on names and contents only. A killed build leaves no file behind."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(unfinished, "w") as archive:
            for name, content in sorted(files.items()):
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.create_system = (
                    3  # Unix, also if it is built on another system: it determines how modes are read
                )
                entry.external_attr = 0o100644 << 16  # Lambda's user must be able to read it
                archive.writestr(entry, content, zipfile.ZIP_DEFLATED, 6)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def rds_bundle(named: str | None) -> bytes | None:
    """Return the certificates of RDS's authorities.

    Args:
        named: a file; "none": no certificates; None: they are downloaded, if possible.

    Raises:
        BuildError: the file cannot be read or has no certificates.
    """
    if named == "none":
        return None
    if named is not None:
        try:
            return _certificates(Path(named).read_bytes(), named)
        except OSError as error:
            raise BuildError(f"The bundle {named} cannot be read: {error.strerror}.") from error
    try:
        with urllib.request.urlopen(_BUNDLE_ADDRESS, timeout=20) as answer:
            return _certificates(answer.read(), _BUNDLE_ADDRESS)
    except (OSError, http.client.HTTPException, BuildError) as error:
        # Also rejects a page that a network returns instead, such as a login page.
        why = (
            str(error) if isinstance(error, BuildError) else f"{_BUNDLE_ADDRESS} cannot be fetched ({error})."
        )
        print(
            f"The archive gets no certificates of RDS: {why}\n"
            f"The function will need DB_SSL_ROOT_CERT; or name a file: {_BUNDLE_VARIABLE}=global-bundle.pem",
            file=sys.stderr,
        )
        return None


def _certificates(content: bytes, source: str) -> bytes:
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=content.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise BuildError(f"{source} holds no certificates: {error}.") from error
    count, digest = len(context.get_ca_certs()), hashlib.sha256(content).hexdigest()
    print(f"Certificates of RDS: {count}, SHA-256 {digest}")
    return content


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(  # noqa: S603  commands of this file
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildError(
            f"{' '.join(command[1:4])} … ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )


def main(arguments: Iterable[str] | None = None) -> None:
    """Parse the command line, and build."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--arch", choices=sorted(MACHINES), action="append", help="otherwise both")
    parser.add_argument("--python", default=RUNTIME, help=f"the version it shall run in ({RUNTIME})")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="the folder to write to (dist)")
    parser.add_argument(
        "--rds-bundle",
        default=os.environ.get(_BUNDLE_VARIABLE) or None,
        help=f"a file with RDS's certificates, or 'none'; otherwise ${_BUNDLE_VARIABLE}, otherwise they are fetched",
    )
    options = parser.parse_args(None if arguments is None else list(arguments))
    try:
        bundle = rds_bundle(options.rds_bundle)
        for arch in options.arch or sorted(MACHINES):
            build(Target(arch, options.python), options.output, bundle=bundle)
    except BuildError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
