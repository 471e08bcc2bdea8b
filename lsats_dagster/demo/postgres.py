"""A Postgres of our own for the demo and the tests: no installation, no service, loopback only.

The server belongs to no command: a small watcher process stops it when no command uses it any more. Locks in the
cluster's folder (flock: the kernel releases them however a process ends) order everything:

* `commands.lock`: shared by every command that uses the server; exclusive while the server is being stopped.
* `watcher.lock`: exclusive, held by the one watcher, to whom the command that starts it hands it over.
* `server.lock`: exclusive, held by the command that starts the server, then by the server itself.
"""

import contextlib
import fcntl
import hashlib
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from lsats_dagster.demo.postgres_server import (
    HOST,
    START_SECONDS,
    USER,
    Cluster,
    EmbeddedPostgresError,
    end_orphans,
    run,
    start,
    stop,
)

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "cluster_folder", "embedded_postgres", "remove_cluster"]

DATABASES = ("lsats", "dagster")  # the hub's, and Dagster's own storage
SYSTEM_FOLDER = Path("/var/lib/lsats")  # of clusters whose LSATS_HOME the server's account cannot enter


@dataclass(frozen=True)
class EmbeddedPostgres:
    """Address and login of the running server. The user is superuser of this private cluster."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)

    def url(self, database: str) -> str:
        """Connection URL of one database: "lsats" is the hub's, "dagster" is for Dagster's own storage."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{database}"


@contextmanager
def embedded_postgres(home: Path, *, binaries: Path | None = None) -> Iterator[EmbeddedPostgres]:
    """A running server with the data of this LSATS_HOME, for the time of the `with` block.

    The first call makes the cluster; calls at the same time share one server; it stops within about a second
    after the last of them ended, in whatever way. `binaries` (LSATS_PG_BIN) counts only while no server runs.
    Meanwhile the environment has no variable of libpq's, also for what is started. Raises EmbeddedPostgresError.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_without_libpq_variables())
        try:
            cluster, commands = _join(home)
            stack.callback(os.close, commands)
            # At the end, too: if the watcher was killed meanwhile, nobody else would stop the server.
            stack.callback(_watch, cluster)
            _watch(cluster)
            server = EmbeddedPostgres(HOST, _ensure_server(cluster, binaries), USER, cluster.read("password"))
        except OSError as error:
            why = ": ".join(str(part) for part in (error.strerror, error.filename) if part)
            reason = f"{home} cannot be used ({why}): set LSATS_HOME to a folder that can be written"
            raise EmbeddedPostgresError(reason) from None
        yield server


@contextmanager
def _without_libpq_variables() -> Iterator[None]:
    """PGSERVICE, PGSSLMODE, PGHOSTADDR and the like speak of another server, and not all can be overruled by a connection."""
    others = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PG")}
    try:
        yield
    finally:
        os.environ.update(others)


def cluster_folder(home: Path) -> Path | None:
    """Where the data of this LSATS_HOME lies, which may be outside of it; None where there is none."""
    home = home.resolve()
    return next((folder for folder in (home / "postgres", _system_folder(home)) if _has_data(folder)), None)


def _has_data(folder: Path) -> bool:
    try:
        return bool((folder / "data").lstat())
    except PermissionError:  # of another account
        return True
    except OSError:
        return False


def remove_cluster(home: Path) -> None:
    """Stop the server of this LSATS_HOME and remove its data, also outside LSATS_HOME. Nothing there is fine.

    Raises EmbeddedPostgresError while a command still uses the server, and if another account owns the data.
    """
    home = home.resolve()
    for folder in (home / "postgres", _system_folder(home)):
        try:
            _remove(folder)
        except OSError as error:
            reason = f"{folder} cannot be removed ({error.strerror}): remove it as its owner"
            raise EmbeddedPostgresError(reason) from None
    with contextlib.suppress(OSError):
        (home / "postgres-folder.txt").unlink()
    with contextlib.suppress(OSError):
        SYSTEM_FOLDER.rmdir()


def _remove(folder: Path) -> None:
    if os.path.lexists(folder):
        cluster = Cluster.at(folder)
        alone = _alone(cluster)
        try:
            stop(cluster)
            # In one step: a command that comes now makes a new folder and never sees half of this one.
            os.rename(folder, folder.with_name(f"{folder.name}.removing-{os.getpid()}"))
        finally:
            os.close(alone)
        if cluster.socket_folder.parent != folder:
            shutil.rmtree(cluster.socket_folder, ignore_errors=True)
    for doomed in folder.parent.glob(f"{folder.name}.removing-*"):
        shutil.rmtree(doomed)


def _alone(cluster: Cluster) -> int:
    """`commands.lock`, held alone. Commands that just end get three seconds, a server that is stopping all it needs."""
    for _ in range(60):
        if (alone := cluster.try_lock("commands.lock")) is not None:
            return alone
        os.close(cluster.lock("commands.lock", fcntl.LOCK_SH))
        time.sleep(0.05)
    raise EmbeddedPostgresError(f"{cluster.folder} is in use: end the commands that use it, then try again")


def _system_folder(home: Path) -> Path:
    return SYSTEM_FOLDER / hashlib.sha256(os.fsencode(home)).hexdigest()[:16]


def _join(home: Path) -> tuple[Cluster, int]:
    """The cluster of this LSATS_HOME and its shared `commands.lock`. Waits while the server is being stopped."""
    while True:
        cluster = _make_cluster(home.resolve())
        with contextlib.suppress(FileNotFoundError):  # removed before it was locked: made anew
            return cluster, cluster.lock("commands.lock", fcntl.LOCK_SH)


def _make_cluster(home: Path) -> Cluster:
    """The cluster of this LSATS_HOME; its folder is made if there is none."""
    home.mkdir(parents=True, exist_ok=True)
    folder = home / "postgres"
    if os.geteuid() != 0:
        return _make_folder(folder, -1, -1)
    account = _server_account()
    system = _system_folder(home)
    if not system.exists():
        if _enters(account, home):
            return _make_folder(folder, account.pw_uid, account.pw_gid)
        if folder.exists():
            reason = f"the account {account.pw_name} can no longer enter {folder}: let it in again"
            raise EmbeddedPostgresError(f"{reason}, or run `make clean` for a new database")
    # Not opened but passed through: 0711 lists nothing, and each cluster below is closed.
    with contextlib.suppress(FileExistsError):
        SYSTEM_FOLDER.mkdir(parents=True)
        SYSTEM_FOLDER.chmod(0o711)
    (home / "postgres-folder.txt").write_text(f"{system}\n")
    return _make_folder(system, account.pw_uid, account.pw_gid)


def _server_account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise EmbeddedPostgresError("Postgres refuses root: add an account `postgres`, or use an ordinary account")


def _enters(account: pwd.struct_passwd, folder: Path) -> bool:
    """Whether the account can enter the folder. We try, as mode bits do not tell everything (ACLs)."""
    as_account = Cluster(folder, account.pw_uid, account.pw_gid)
    return run(as_account, Path("/bin/sh"), "-c", 'cd -- "$1"', "sh", str(folder)).returncode == 0


def _make_folder(folder: Path, uid: int, gid: int) -> Cluster:
    """The folder, made with its owner (-1: ours) in one step, so that two first commands agree on it."""
    if not folder.exists():
        new = folder.with_name(f"{folder.name}.new-{os.getpid()}-{secrets.token_hex(4)}")
        new.mkdir(mode=0o700)
        os.chown(new, uid, gid)
        try:
            os.rename(new, folder)
        except OSError:  # another command was quicker
            new.rmdir()
    return Cluster.at(folder)


def _ensure_server(cluster: Cluster, binaries: Path | None) -> int:
    """The port of the running server, started if need be. The caller holds `commands.lock`: it stays up."""
    deadline = time.monotonic() + START_SECONDS + 30
    while True:
        # Held by no one: no server. Held by a command: it is starting one. Held by the server: it may take a while.
        lock = cluster.try_lock("server.lock")
        if lock is not None:
            try:
                start(cluster, lock, binaries)
            finally:
                os.close(lock)
        try:
            return ensure_databases(cluster)
        except psycopg.Error as error:
            if lock is not None or time.monotonic() > deadline:
                why = " ".join(str(error).split())
                raise EmbeddedPostgresError(
                    f"the server in {cluster.folder} runs but cannot be used ({why}): "
                    f"fix what this or the end of {cluster.log} names, or run `make clean` for a new database"
                ) from None
        end_orphans(cluster)
        time.sleep(0.05)


def ensure_databases(cluster: Cluster) -> int:
    """The port of the server, which has both databases then; psycopg.Error unless one of this cluster's data answers."""
    port = cluster.port()
    if not port:
        raise psycopg.OperationalError("it has not started yet")
    ours = f"host={HOST} hostaddr={HOST} port={port} user={USER} dbname=postgres connect_timeout=30"
    with psycopg.connect(ours, password=cluster.read("password"), autocommit=True) as connection:
        row = connection.execute("show data_directory").fetchone()
        if row is None or os.path.realpath(row[0]) != os.path.realpath(cluster.data):
            raise psycopg.OperationalError(f"another server answers on port {port}")
        present = {name for (name,) in connection.execute("select datname from pg_catalog.pg_database")}
        for name in DATABASES:
            # Another command may be making it.
            if name not in present:
                with contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return port


def _watch(cluster: Cluster) -> None:
    """Start the watcher, unless there is one."""
    watching = None
    with contextlib.suppress(FileNotFoundError):  # removed by hand: no server lasts without its folder
        watching = cluster.try_lock("watcher.lock")
    if watching is None:
        return
    log = cluster.open("server.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        # By way of a shell that ends at once: a command that outlives its watcher has no zombie.
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", sys.executable, "-m", __name__, str(cluster.folder), str(watching)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(watching,),
            start_new_session=True,  # Ctrl-C in the terminal ends the commands, and only thereby the server
            cwd=Path(__file__).resolve().parents[2],
            check=False,
        )
    finally:
        os.close(log)
        os.close(watching)


def main() -> None:
    """The watcher: waits until no command uses the server of a folder, in whatever way the last ended, and stops it."""
    folder, watching = sys.argv[1:]
    with contextlib.suppress(FileNotFoundError):  # the cluster was removed meanwhile
        cluster = Cluster.at(Path(folder))
        cluster.lock("commands.lock", fcntl.LOCK_EX)
        stop(cluster)
    # Before `commands.lock`, which the end of this process releases: the next command must see that it needs a watcher.
    os.close(int(watching))


if __name__ == "__main__":
    main()
