"""A Postgres of our own for the demo and the tests: no installation, no service, loopback only.

The server belongs to a small supervisor process (`postgres_supervisor.py`), never to a command. Two locks in
the cluster's folder (flock: the kernel releases them however a process ends) order everything:

* `commands.lock`: shared by every command that uses the server; exclusive while the server is being stopped.
* `supervisor.lock`: exclusive, held by the one supervisor, to whom the starting command hands it over.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import psycopg

HOST = "127.0.0.1"
USER = "lsats"
DATABASES = ("lsats", "dagster")  # the hub's, and Dagster's own storage
SYSTEM_FOLDER = Path("/var/lib/lsats")  # of clusters whose LSATS_HOME the server's account cannot enter
START_SECONDS = 120.0  # crash recovery of a cluster that was busy may take a while
LOG_LIMIT_BYTES = 10_000_000


class EmbeddedPostgresError(RuntimeError):
    """The embedded server cannot be used. The message says why and what to do."""


@dataclass(frozen=True)
class Cluster:
    """The folder of one embedded server. Its owner is the account the server runs as."""

    folder: Path
    uid: int
    gid: int

    @classmethod
    def at(cls, folder: Path) -> "Cluster":
        """The cluster in an existing folder; EmbeddedPostgresError if this account cannot run it."""
        owner = folder.lstat()
        if not stat.S_ISDIR(owner.st_mode):
            raise EmbeddedPostgresError(f"{folder} is not a folder: move it away, or set LSATS_HOME elsewhere")
        if owner.st_uid == 0:
            raise EmbeddedPostgresError(f"{folder} is root's, and Postgres refuses root: remove this folder")
        if os.geteuid() not in (0, owner.st_uid):
            raise EmbeddedPostgresError(f"{folder} is another account's: run as it, or set LSATS_HOME elsewhere")
        return cls(folder, owner.st_uid, owner.st_gid)

    @property
    def name(self) -> str:
        """Shown in the title of every server process, so that they are recognised without their parent."""
        return "lsats-" + hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def socket_folder(self) -> Path:
        """Within the folder, or in /tmp where `<it>/.s.PGSQL.65535` would pass 103 bytes (macOS)."""
        inside = self.folder / "socket"
        usable = len(os.fsencode(inside)) <= 80 and not set(',"') & set(str(inside))
        return inside if usable else Path("/tmp") / self.name

    def open(self, name: str, flags: int) -> int:
        """A file of the folder, mode 0600. No links: root must not write where the server's user points."""
        descriptor = os.open(self.folder / name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if os.geteuid() == 0 and flags & os.O_CREAT:
            os.fchown(descriptor, self.uid, self.gid)
        return descriptor

    def open_log(self) -> int:
        """The log, opened for appending; an overlong one is put aside first."""
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            os.replace(self.log, self.folder / "server.log.old")
        return self.open(self.log.name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, name: str, text: str) -> None:
        """Replace a file in one step, so that no reader sees half of it."""
        temporary = f".{name}.{os.getpid()}.{secrets.token_hex(4)}"
        with os.fdopen(self.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "w") as file:
            file.write(text)
        os.replace(self.folder / temporary, self.folder / name)

    def read(self, name: str) -> str | None:
        try:
            with os.fdopen(self.open(name, os.O_RDONLY)) as file:
                return file.read()
        except FileNotFoundError:
            return None

    def password(self) -> str:
        password = self.read("password")
        if not password:
            raise EmbeddedPostgresError(f"{self.folder} lost its password: run `make clean` for a new database")
        return password

    def try_lock(self, name: Literal["commands.lock", "supervisor.lock"], kind: int) -> int | None:
        """A descriptor holding the lock (fcntl.LOCK_SH or LOCK_EX) until closed; None if others hold it."""
        descriptor = self.open(name, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            # A folder removed meanwhile took the file with it: that lock would guard nothing.
            if os.path.samestat(os.fstat(descriptor), os.lstat(self.folder / name)):
                return descriptor
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(descriptor)
        return None


@dataclass(frozen=True)
class State:
    """What the supervisor tells the commands. The port stays while the server is down, to be taken again."""

    status: Literal["starting", "ready", "failed", "stopped"] = "stopped"
    port: int = 0
    supervisor: int = 0
    message: str = ""

    @classmethod
    def read(cls, cluster: Cluster) -> "State":
        try:
            return cls(**json.loads(cluster.read("state.json") or "{}"))
        except (ValueError, TypeError):
            return cls()

    def write(self, cluster: Cluster) -> None:
        cluster.write("state.json", json.dumps(asdict(self)))


def connect(cluster: Cluster, port: int) -> psycopg.Connection[Any] | None:
    """A connection to the server on this port; None unless it proves to be the one of this cluster's data."""
    connection = None
    ours = f"host={HOST} hostaddr={HOST} port={port} user={USER} dbname=postgres connect_timeout=5"
    plain = "options='' sslmode=disable gssencmode=disable"  # whatever PG* variables are set
    try:
        connection = psycopg.connect(f"{ours} {plain}", password=cluster.password(), autocommit=True)
        row = connection.execute("show data_directory").fetchone()
    except psycopg.Error:
        row = None
    if connection and row and os.path.realpath(row[0]) == os.path.realpath(cluster.data):
        return connection
    if connection:
        connection.close()
    return None


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
    Raises EmbeddedPostgresError.
    """
    with contextlib.ExitStack() as stack:
        try:
            cluster = _join(home)
            stack.callback(_stop_orphan, cluster)
            stack.callback(os.close, _use(cluster))
            server = EmbeddedPostgres(HOST, _ensure_server(cluster, binaries), USER, cluster.password())
        except OSError as error:
            reason = f"{home} cannot be used ({error.strerror}): set LSATS_HOME to a folder that can be written"
            raise EmbeddedPostgresError(reason) from None
        yield server


def _stop_orphan(cluster: Cluster) -> None:
    """Stop a server whose supervisor was killed, if this was the last command: nobody else would."""
    with contextlib.suppress(OSError, EmbeddedPostgresError), _alone(cluster, 0) as lock:
        if lock is not None:
            _supervisor(cluster, lock, "stop")


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
        with _alone(cluster, 3) as lock:
            if lock is None:
                raise EmbeddedPostgresError(f"{folder} is in use: end the commands that use it, then try again")
            if _supervisor(cluster, lock, "stop") != 0:
                raise EmbeddedPostgresError(f"the server does not stop: mend what the end of {cluster.log} names")
            # In one step: a command that comes now makes a new folder and never sees half of this one.
            os.rename(folder, folder.with_name(f"{folder.name}.removing-{os.getpid()}"))
        if cluster.socket_folder.parent != folder:
            shutil.rmtree(cluster.socket_folder, ignore_errors=True)
    for doomed in folder.parent.glob(f"{folder.name}.removing-*"):
        shutil.rmtree(doomed)


def _system_folder(home: Path) -> Path:
    return SYSTEM_FOLDER / hashlib.sha256(os.fsencode(home)).hexdigest()[:16]


def _join(home: Path) -> Cluster:
    """The cluster of this LSATS_HOME; its folder is made if there is none."""
    home = home.resolve()
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
    enter = subprocess.run(
        ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)],
        cwd="/",
        stderr=subprocess.DEVNULL,
        check=False,
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
    )
    return enter.returncode == 0


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


def _use(cluster: Cluster) -> int:
    """The shared lock on the server. Waits while the server is being stopped; it is started again after."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if (commands := cluster.try_lock("commands.lock", fcntl.LOCK_SH)) is not None:
                return commands
        except FileNotFoundError:  # removed meanwhile
            _make_folder(cluster.folder, cluster.uid, cluster.gid)
        time.sleep(0.05)
    raise EmbeddedPostgresError(f"the server is stopping for a minute now: see {cluster.log}, then try again")


@contextmanager
def _alone(cluster: Cluster, seconds: float) -> Iterator[int | None]:
    """`supervisor.lock`, held with `commands.lock`, so that nobody else is there; None if not in time."""
    deadline = time.monotonic() + seconds
    held: list[int] = []
    try:
        while True:
            # In this order: holding `commands.lock` would keep the supervisor from ending by itself.
            for name in ("supervisor.lock", "commands.lock"):
                if (lock := cluster.try_lock(name, fcntl.LOCK_EX)) is None:
                    break
                held.append(lock)
            if len(held) == 2 or time.monotonic() >= deadline:
                break
            while held:
                os.close(held.pop())
            time.sleep(0.05)
        yield held[0] if len(held) == 2 else None
    finally:
        for lock in held:
            os.close(lock)


def _ensure_server(cluster: Cluster, binaries: Path | None) -> int:
    """The port of the running server, started if need be. The caller holds `commands.lock`: it stays up."""
    started = 0
    deadline = time.monotonic() + START_SECONDS + 30
    while time.monotonic() < deadline:
        lock = cluster.try_lock("supervisor.lock", fcntl.LOCK_EX)
        state = State.read(cluster)
        if lock is not None:
            try:
                if started and state.status == "failed":
                    raise EmbeddedPostgresError(state.message)
                if started == 3:
                    break
                started += 1
                State("starting", state.port).write(cluster)
                _supervisor(cluster, lock, "run", *([binaries] if binaries else []))
            finally:
                os.close(lock)
        elif state.status == "ready" and (connection := connect(cluster, state.port)):
            connection.close()
            return state.port
        time.sleep(0.03)
    raise EmbeddedPostgresError(f"the server does not stay up: mend what the end of {cluster.log} names")


def _supervisor(cluster: Cluster, lock: int, task: Literal["run", "stop"], *binaries: Path) -> int:
    """Run the supervisor with the held `supervisor.lock`; "stop" returns 0 when no server is left."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH") if name in os.environ}
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    program = [sys.executable, "-m", "lsats_dagster.demo.postgres_supervisor", task, str(cluster.folder)]
    log = cluster.open_log()
    try:
        ended = subprocess.run(
            program + [str(folder.resolve()) for folder in binaries],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
            start_new_session=True,  # Ctrl-C in the terminal ends the commands, and only thereby the server
            cwd="/",
            env={**kept, "PYTHONPATH": path},
            check=False,
        )
    finally:
        os.close(log)
    return ended.returncode
