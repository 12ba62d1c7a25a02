"""What `scripts/build_lambda.py` takes, leaves out and refuses; archives of real wheels are built by tests/end_to_end."""

from __future__ import annotations

import datetime
import hashlib
import importlib.util
import os
import sys
import urllib.request
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

ROOT = Path(__file__).parents[2]
REVISION = {"dbschema/migrations/_alembic/versions/first.py": b"revision = 'first'"}


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_lambda", ROOT / "scripts" / "build_lambda.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


build_lambda: Any = load()
ARM = build_lambda.Target("arm64")


def elf(machine: int) -> bytes:
    """The beginning of a library for a machine."""
    return b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + machine.to_bytes(2, "little") + b"\0" * 44


def make_wheel(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
    return path


def certificate() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of the tests")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def test_bytes_depend_on_names_and_contents_alone(tmp_path: Path) -> None:
    files = {"b.py": b"b", "a/c.py": b"c" * 1000, "a.py": b"a"}
    before = os.umask(0o077)
    try:
        build_lambda.write(tmp_path / "one.zip", dict(reversed(files.items())))
    finally:
        os.umask(before)

    build_lambda.write(tmp_path / "two.zip", files)

    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert archive.namelist() == ["a.py", "a/c.py", "b.py"]
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.zip", "two.zip"]


def test_a_wheel_gives_code_metadata_and_licences_and_nothing_that_no_function_uses(tmp_path: Path) -> None:
    kept = {
        "shop/__init__.py": b"",
        "shop/fast.cpython-313-aarch64-linux-gnu.so": b"",
        "shop/testing.py": b"",
        "shop-1.dist-info/METADATA": b"",
        "shop-1.dist-info/WHEEL": b"",
        "shop-1.dist-info/entry_points.txt": b"",
        "shop-1.dist-info/licenses/LICENSE": b"",
        "shop-1.dist-info/LICENSE": b"",
    }
    left_out = {
        "shop/fast.pyi": b"",
        "shop/fast.pyx": b"",
        "shop/fast.c": b"",
        "shop/__pycache__/fast.cpython-313.pyc": b"",
        "shop-1.dist-info/RECORD": b"",
        "sqlalchemy/testing/suite/test_types.py": b"",
        "shop-1.data/scripts/shop": b"",
        "shop-1.data/headers/shop.hpp": b"",
    }
    data = {"shop-1.data/purelib/beside.py": b"", "shop-1.data/platlib/deep/beside.py": b""}
    wheel = make_wheel(tmp_path / "shop-1-py3-none-any.whl", kept | left_out | data)

    found = build_lambda.unpacked(wheel)

    assert set(found) == {*kept, "beside.py", "deep/beside.py"}


def test_a_library_for_another_machine_is_refused() -> None:
    with pytest.raises(build_lambda.BuildError, match=r"libpq\.so\.5 is not for aarch64"):
        build_lambda.check({**REVISION, "shop.libs/libpq.so.5": elf(62)}, ARM)


def test_a_module_for_another_python_is_refused() -> None:
    name = "shop/fast.cpython-312-aarch64-linux-gnu.so"

    with pytest.raises(build_lambda.BuildError, match=r"is not for Python 3\.13"):
        build_lambda.check({**REVISION, name: elf(183)}, ARM)


def test_modules_for_this_python_or_any_are_taken() -> None:
    names = ("a.cpython-313-aarch64-linux-gnu.so", "b.abi3.so", "c.libs/libssl-6a9b88ec.so.3")

    build_lambda.check(REVISION | dict.fromkeys(names, elf(183)), ARM)


def test_an_archive_without_revisions_is_refused() -> None:
    with pytest.raises(build_lambda.BuildError, match="no revisions"):
        build_lambda.check({"dbschema/__init__.py": b""}, ARM)


def test_an_archive_that_is_too_large_is_refused_with_its_largest_parts() -> None:
    files = {**REVISION, "huge/data": bytes(40_000_000), "large/data": bytes(6_000_000)}

    with pytest.raises(
        build_lambda.BuildError, match=r"46\.0 MB, more than 45.* huge 40\.0 MB, large 6\.0 MB"
    ):
        build_lambda.check(files, ARM)


def lock_of(folder: Path, content: bytes) -> Path:
    """A lock that pins one wheel, and the folder in which it is kept already."""
    lock = folder / "lambda.txt"
    lock.write_text(f"shop==1 \\\n    --hash=sha256:{hashlib.sha256(content).hexdigest()}\n")
    kept = folder / "cp313-arm64"
    kept.mkdir()
    (kept / "shop-1-py3-none-any.whl").write_bytes(content)
    (kept / "fetched-for").write_text(hashlib.sha256(lock.read_bytes()).hexdigest())
    return lock


def test_wheels_that_are_kept_are_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = lock_of(tmp_path, b"the wheel")
    monkeypatch.setattr(build_lambda, "_run", lambda *_: pytest.fail("something was run"))

    found = build_lambda.pinned_wheels(lock, ARM, tmp_path)

    assert [path.name for path in found] == ["shop-1-py3-none-any.whl"]


def test_a_kept_wheel_that_was_changed_is_refused(tmp_path: Path) -> None:
    lock = lock_of(tmp_path, b"the wheel")
    (tmp_path / "cp313-arm64" / "shop-1-py3-none-any.whl").write_bytes(b"another")

    with pytest.raises(build_lambda.BuildError, match=r"is not the file that lambda\.txt pins"):
        build_lambda.pinned_wheels(lock, ARM, tmp_path)


def test_a_changed_lock_is_fetched_anew_for_the_target_and_by_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = lock_of(tmp_path, b"the wheel")
    with lock.open("a") as file:
        file.write("# changed\n")
    commands: list[list[str]] = []

    def run(command: list[str], folder: Path) -> None:
        assert not list((tmp_path / "cp313-arm64").glob("*.whl"))
        commands.append(command)
        (tmp_path / "cp313-arm64").mkdir()

    monkeypatch.setattr(build_lambda, "_run", run)

    build_lambda.pinned_wheels(lock, ARM, tmp_path)
    build_lambda.pinned_wheels(lock, ARM, tmp_path)

    (command,) = commands
    assert {"--require-hashes", "--no-deps", ":all:", "3.13", "--platform=manylinux_2_28_aarch64"} <= {
        *command
    }
    assert not [word for word in command if "x86_64" in word]


def test_pip_that_fails_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "lambda.txt").write_text("shop=1\n")

    with pytest.raises(
        build_lambda.BuildError, match=r"pip download.* ended with 1:\n[\s\S]*Invalid requirement"
    ):
        build_lambda.pinned_wheels(tmp_path / "lambda.txt", ARM, tmp_path / "cache")

    assert not (tmp_path / "cache" / "cp313-arm64" / "fetched-for").exists()


def test_two_wheels_with_the_same_file_and_another_content_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lambda_entry.py").write_text("")
    one = make_wheel(tmp_path / "one.whl", {"shared.py": b"1"})
    two = make_wheel(tmp_path / "two.whl", {"shared.py": b"2"})
    monkeypatch.setattr(build_lambda, "own_wheel", lambda *_: one)
    monkeypatch.setattr(build_lambda, "pinned_wheels", lambda *_: [two])

    with pytest.raises(build_lambda.BuildError, match=r"two\.whl has a shared\.py that differs"):
        build_lambda.build(ARM, tmp_path / "dist", root=tmp_path)

    assert not (tmp_path / "dist").exists()


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(build_lambda.BuildError, match=r"lambda_entry\.py is missing"):
        build_lambda.build(ARM, tmp_path / "dist", root=tmp_path)


def test_certificates_of_a_named_file_are_taken_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = certificate() + certificate()
    (tmp_path / "bundle.pem").write_bytes(content)

    taken = build_lambda.rds_bundle(str(tmp_path / "bundle.pem"))

    assert taken == content
    assert f"Certificates of RDS: 2, SHA-256 {hashlib.sha256(content).hexdigest()}" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"<html>Sign in</html>", b"\xff\xfe"])
def test_a_file_without_certificates_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bundle.pem").write_bytes(content)

    with pytest.raises(build_lambda.BuildError, match="holds no certificates"):
        build_lambda.rds_bundle(str(tmp_path / "bundle.pem"))


def test_a_named_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(build_lambda.BuildError, match="cannot be read: No such file"):
        build_lambda.rds_bundle(str(tmp_path / "bundle.pem"))


def test_a_bundle_that_cannot_be_fetched_is_told_and_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", offline)

    bundle = build_lambda.rds_bundle(None)

    assert bundle is None
    told = capsys.readouterr().err
    assert "cannot be fetched (Name or service not known)" in told
    assert "RDS_BUNDLE=" in told


@pytest.fixture
def bundle_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, bytes, int]]]:
    """Where the bundle is fetched from: a status, a content, and its length as the server says it."""
    answers: list[tuple[int, bytes, int]] = []

    class Bundle(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content, length = answers.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Bundle)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/global/global-bundle.pem"
    monkeypatch.setattr(build_lambda, "_BUNDLE_ADDRESS", address)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield answers
    server.shutdown()
    server.server_close()


def built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, bytes]:
    """The contents of the archive that the program builds with a checkout of one revision, and no wheels of others."""
    with zipfile.ZipFile(tmp_path / "dbschema-0.whl", "w") as wheel:
        for name, content in REVISION.items():
            wheel.writestr(name, content)
    monkeypatch.delenv("RDS_BUNDLE", raising=False)
    monkeypatch.setattr(build_lambda, "own_wheel", lambda *_: tmp_path / "dbschema-0.whl")
    monkeypatch.setattr(build_lambda, "pinned_wheels", lambda *_: [])
    build_lambda.main(["--arch", "arm64", "--output", str(tmp_path / "dist")])
    with zipfile.ZipFile(tmp_path / "dist" / "lambda-arm64.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_bundle_that_is_fetched_stands_where_the_code_looks_for_it(
    bundle_server: list[tuple[int, bytes, int]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = certificate() + certificate()
    bundle_server.append((200, content, len(content)))

    files = built(monkeypatch, tmp_path)

    assert files[build_lambda.BUNDLE] == content
    printed = capsys.readouterr().out
    assert f"Certificates of RDS: 2, SHA-256 {hashlib.sha256(content).hexdigest()}" in printed
    assert "Python 3.13, 0.0 MB unpacked, 0.0 MB packed" in printed


@pytest.mark.parametrize(
    ("status", "content", "length", "reason"),
    [
        (200, b"<html>Sign in</html>", 20, "holds no certificates"),
        (200, b"", 0, "holds no certificates"),
        (200, b"-----BEGIN CERTIFICATE-----\nMIIB", 30_000, "IncompleteRead"),
        (403, b"", 0, "HTTP Error 403"),
        (503, b"", 0, "HTTP Error 503"),
    ],
)
def test_what_is_fetched_and_is_no_bundle_is_told_and_left_out_and_the_archive_built(
    *,
    bundle_server: list[tuple[int, bytes, int]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    status: int,
    content: bytes,
    length: int,
    reason: str,
) -> None:
    bundle_server.append((status, content, length))

    files = built(monkeypatch, tmp_path)

    assert set(files) == {build_lambda.ENTRY, *REVISION}
    told = capsys.readouterr().err
    assert "The archive gets no certificates of RDS" in told
    assert reason in told
    assert "The function will need DB_SSL_ROOT_CERT" in told


def test_a_bundle_can_be_declined_without_asking_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: pytest.fail("the network was asked"))

    assert build_lambda.rds_bundle("none") is None


def test_the_code_and_the_builder_agree_on_the_place_of_the_bundle() -> None:
    from dbschema.connect import tls  # noqa: PLC0415  the path of the installed package is asked for

    assert tls.BUNDLE.parts[-3:] == Path(build_lambda.BUNDLE).parts
