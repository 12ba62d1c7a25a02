"""Who is believed to be the server: nobody without a certificate, outside this machine."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dbschema.connect import create_engine, errors, resolve, translating
from dbschema.connect.tls import secured
from dbschema.tools.server import Address, PrivateServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbschema.connect import Settings

NAME = "db.tests.example"
REMOTE = "postgresql://ada@db.example/shop"


def asked(address: str, **environ: str) -> dict[str, str]:
    """What the address says of TLS after all rules."""
    query = resolve(address, environ=environ).url.query
    return {key: str(value) for key, value in query.items() if key.startswith("ssl")}


@pytest.fixture
def roots(tmp_path: Path) -> str:
    path = tmp_path / "roots.pem"
    path.write_text("certificates")
    return str(path)


def test_another_machine_has_to_prove_its_name(roots: str) -> None:
    assert asked(REMOTE, DB_SSL_ROOT_CERT=roots) == {"sslmode": "verify-full", "sslrootcert": roots}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "[::1]", "localhost", "LOCALHOST", ""])
def test_this_machine_need_not(host: str, roots: str) -> None:
    assert asked(f"postgresql://ada@{host}/shop", DB_SSL_ROOT_CERT=roots) == {}


def test_a_socket_of_this_machine_need_not() -> None:
    assert asked("postgresql://ada@/shop?host=/var/run/postgresql") == {}


def test_one_host_elsewhere_is_enough(roots: str) -> None:
    assert (
        asked("postgresql://ada@127.0.0.1,db.example/shop", DB_SSL_ROOT_CERT=roots)["sslmode"]
        == "verify-full"
    )


def test_a_tunnel_on_this_machine_leads_elsewhere(roots: str) -> None:
    """With the name as host and the tunnel as hostaddr, the certificate is still that of the name."""
    assert asked(f"{REMOTE}?hostaddr=127.0.0.1", DB_SSL_ROOT_CERT=roots)["sslmode"] == "verify-full"


def test_a_numeric_address_elsewhere_counts(roots: str) -> None:
    assert asked("postgresql:///shop?hostaddr=192.0.2.1", DB_SSL_ROOT_CERT=roots)["sslmode"] == "verify-full"


def test_what_the_address_says_stays(roots: str) -> None:
    assert asked(f"{REMOTE}?sslmode=require", DB_SSL_ROOT_CERT=roots) == {"sslmode": "require"}
    assert asked(f"{REMOTE}?sslrootcert=/mine.pem", DB_SSL_ROOT_CERT=roots) == {
        "sslmode": "verify-full",
        "sslrootcert": "/mine.pem",
    }


def test_what_libpqs_variables_say_stays(roots: str) -> None:
    assert asked(REMOTE, PGSSLMODE="prefer", DB_SSL_ROOT_CERT=roots) == {}
    assert asked(REMOTE, PGSSLROOTCERT="/mine.pem")["sslrootcert"] == "/mine.pem"


def test_the_setting_beats_libpqs_variable(roots: str) -> None:
    assert asked(REMOTE, PGSSLROOTCERT="/mine.pem", DB_SSL_ROOT_CERT=roots)["sslrootcert"] == roots


def test_the_file_that_libpq_looks_for_is_kept(tmp_path: Path) -> None:
    own = tmp_path / ".postgresql" / "root.crt"
    own.parent.mkdir()
    own.write_text("certificates")

    assert asked(REMOTE, HOME=str(tmp_path))["sslrootcert"] == str(own)


def test_else_the_certificates_of_the_system_are_trusted(roots: str) -> None:
    """By their path: the OpenSSL inside psycopg's wheels does not know where this system keeps them."""
    found = asked(REMOTE)["sslrootcert"]

    assert found == "system" or Path(found).is_file()
    assert asked(REMOTE, SSL_CERT_FILE=roots)["sslrootcert"] == roots


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The certificates of RDS, as the archive of the Lambda brings them."""
    path = tmp_path / "global-bundle.pem"
    path.write_text("certificates of RDS")
    monkeypatch.setattr("dbschema.connect.tls.BUNDLE", path)
    return str(path)


@pytest.mark.parametrize(
    "hosts",
    [
        "app.cluster-c0ffee.eu-central-2.rds.amazonaws.com",
        "app.cluster-c0ffee.CN-NORTH-1.rds.amazonaws.com.cn",
        "one.c0ffee.eu-central-2.rds.amazonaws.com,two.c0ffee.eu-central-2.rds.amazonaws.com",
    ],
)
def test_a_bundle_that_was_brought_along_is_trusted_for_rds(hosts: str, bundle: str) -> None:
    assert asked(f"postgresql://ada@{hosts}/shop") == {"sslmode": "verify-full", "sslrootcert": bundle}


@pytest.mark.parametrize(
    "hosts",
    [
        "app.proxy-c0ffee.eu-central-2.rds.amazonaws.com",
        "db.example",
        "rds.amazonaws.com.example",
        "one.c0ffee.eu-central-2.rds.amazonaws.com,db.example",
    ],
)
def test_it_is_not_trusted_for_others(hosts: str, bundle: str, roots: str) -> None:
    """RDS Proxy has a certificate of a public authority; another server's would be refused."""
    assert asked(f"postgresql://ada@{hosts}/shop", SSL_CERT_FILE=roots)["sslrootcert"] == roots


def test_what_was_set_beats_the_bundle(bundle: str, roots: str, tmp_path: Path) -> None:
    rds = "postgresql://ada@app.cluster-c0ffee.eu-central-2.rds.amazonaws.com/shop"
    own = tmp_path / ".postgresql" / "root.crt"
    own.parent.mkdir()
    own.write_text("certificates")

    assert asked(rds, DB_SSL_ROOT_CERT=roots)["sslrootcert"] == roots
    assert asked(rds, PGSSLROOTCERT=roots)["sslrootcert"] == roots
    assert asked(rds, HOME=str(tmp_path))["sslrootcert"] == str(own)


def test_a_service_file_says_itself() -> None:
    settings = resolve("postgresql://?service=shop", environ={})

    assert secured(settings.address, {}) == settings.address
    assert dict(settings.url.query) == {"service": "shop"}


@dataclass(frozen=True)
class Tls:
    """A server with TLS, and the certificate of the authority that signed its own for `NAME`."""

    address: Address
    authority: str

    def settings(self, host: str, *, roots: str | None = None, more: str = "") -> Settings:
        """It at 127.0.0.1 under the name `host`."""
        at = self.address
        return resolve(
            f"postgresql://{at.user}:{at.password}@{host}:{at.port}/{at.database}?hostaddr=127.0.0.1{more}",
            environ={"DB_SSL_ROOT_CERT": roots or self.authority},
        )


@pytest.fixture(scope="module")
def tls() -> Iterator[Tls]:
    with tempfile.TemporaryDirectory(prefix="dbschema-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # started by root, the server runs as another user, who has to get there
        make_certificates(folder)
        # The key has to belong to the user of the server, who is known by its data.
        server = PrivateServer(folder / "home", options={"fsync": "off"})
        server.start()
        owner = Path(data_folder(server)).stat()
        server.stop()
        for file in ("server.crt", "server.key"):
            shutil.chown(folder / file, owner.st_uid, owner.st_gid)
            (folder / file).chmod(0o600)
        options = {
            "fsync": "off",
            "ssl": "on",
            "ssl_cert_file": str(folder / "server.crt"),
            "ssl_key_file": str(folder / "server.key"),
        }
        server = PrivateServer(folder / "home", options=options)
        yield Tls(server.start(), str(folder / "authority.crt"))
        server.destroy()


def data_folder(server: PrivateServer) -> str:
    with create_engine(resolve(server.address().url())).connect() as connection:
        return str(connection.exec_driver_sql("SHOW data_directory").scalar_one())


def make_certificates(folder: Path) -> None:
    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("authority", "stranger"):
        openssl("req", "-x509", *key, "-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}")
    openssl(
        "req", "-x509", *key, "-keyout", "server.key", "-out", "server.crt", "-subj", f"/CN={NAME}",
        "-CA", "authority.crt", "-CAkey", "authority.key", "-addext", f"subjectAltName=DNS:{NAME}",
        "-addext", "basicConstraints=critical,CA:FALSE",
    )  # fmt: skip


def connect(settings: Settings) -> bool:
    """Connect; whether the connection is encrypted."""
    with translating(settings), create_engine(settings).connect() as connection:
        return bool(
            connection.exec_driver_sql(
                "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            ).scalar_one()
        )


def test_a_server_that_proves_its_name_is_believed(tls: Tls) -> None:
    assert connect(tls.settings(NAME))


def test_a_server_under_another_name_is_refused(tls: Tls) -> None:
    with pytest.raises(errors.TlsFailed, match=r"other\.tests\.example"):
        connect(tls.settings("other.tests.example"))


def test_a_server_whose_authority_is_not_trusted_is_refused(tls: Tls) -> None:
    with pytest.raises(errors.TlsFailed, match="certificate verify failed"):
        connect(tls.settings(NAME, roots=tls.authority.replace("authority", "stranger")))


def test_the_certificates_of_the_system_do_not_do_for_an_authority_of_its_own(tls: Tls) -> None:
    at = tls.address
    settings = resolve(
        f"postgresql://{at.user}:{at.password}@{NAME}:{at.port}/{at.database}?hostaddr=127.0.0.1", environ={}
    )

    with pytest.raises(errors.TlsFailed, match=r"TLS with .* fails"):
        connect(settings)


def test_whoever_says_so_does_not_look_at_the_name(tls: Tls) -> None:
    assert connect(tls.settings("other.tests.example", more="&sslmode=require"))


def test_a_server_without_tls_is_refused(fresh_database: str) -> None:
    at = resolve(fresh_database, environ={}).url
    url = at.set(host=NAME).update_query_dict({"hostaddr": "127.0.0.1"})
    settings = resolve(url, environ={})

    with pytest.raises(errors.TlsFailed, match=f"{NAME}.* offers no TLS"):
        connect(settings)
