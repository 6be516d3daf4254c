"""Run `python`, `snakemake` and `dvc` as forks of one process that has imported the third-party packages.

Imports of such a program take seconds, and a workflow starts dozens. Here the program on PATH is a short client that
sends its arguments, environment, folder and streams to the server, which forks. The fork runs the project's own code,
which the server never imports, and the client exits with the fork's status. A signal to the client does not reach the
fork, so tests that kill or interrupt a program start the real one: `Project.start`, `faults.background`.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import socket
import subprocess
import sys
import threading
import traceback
from pathlib import Path

PROGRAMS = ("python", "snakemake", "dvc")
PACKAGES = (
    *("torch", "torch._inductor.config", "torch.utils.tensorboard", "pandas", "scipy.stats", "sklearn.datasets"),
    *("jinja2", "PIL.Image"),
    *("PIL.JpegImagePlugin", "PIL.ImageOps", "ruamel.yaml"),
    *("snakemake.cli", "snakemake.executors.local", "snakemake.storage", "snakemake.benchmark", "smart_open"),
    *("dvc.cli.parser", "dvc.commands.repro", "dvc.data_cloud", "dvc.lock", "dvc.repo.index", "dvc.repo.plots"),
    *("networkx", "pygit2", "scmrepo.git"),
)
CLIENT = """\
#!{python} -ISs
import json, os, socket, sys
program, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
if program == "python" and arguments[:1] not in (["-m"], ["-c"]):
    os.execv({python!r}, [{python!r}, *arguments])
call = {{"program": program, "arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}}
with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
    os.chdir({folder!r})  # the address of a socket must be short
    server.connect("socket")
    socket.send_fds(server, [b"."], [0, 1, 2])
    server.sendall(json.dumps({{**call, "parent": os.getppid()}}).encode() + b"\\n")
    sys.exit(int(server.makefile().readline() or 70))
"""


class Forks:
    """Running server; `bin` is the folder of its clients, for PATH."""

    def __init__(self, folder: Path, *prefix: str) -> None:
        """Start the server in a folder; its command is prefixed, for instance by `setpriv` and its options."""
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        for name in PROGRAMS:
            client = self.bin / name
            client.write_text(CLIENT.format(python=sys.executable, folder=str(folder)))
            client.chmod(0o755)
        command = [*prefix, sys.executable, str(Path(__file__)), str(self.bin / "python")]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=folder
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == b"ready\n"

    def close(self) -> None:
        """Stop the server after all running calls have ended."""
        self.process.communicate()


def serve() -> dict:
    """Fork for every call until stdin is closed; return in the fork, with the call that it must run."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind("socket")
        listener.listen()
        print("ready", flush=True)
        while listener in select.select([listener, sys.stdin], [], [])[0]:
            client, _ = listener.accept()
            if os.fork() == 0:
                break
            client.close()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
        else:
            with contextlib.suppress(ChildProcessError):
                while os.wait():
                    pass
            os._exit(0)
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    call = json.loads(client.makefile().readline())
    if worker := os.fork():
        status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
        with contextlib.suppress(OSError):
            client.sendall(f"{status if status >= 0 else 128 - status}\n".encode())
        os._exit(0)
    client.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    return call


def run(call: dict, python: str) -> None:
    """Replace this process by the program of a call, as if the program had just been started."""
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["environment"])
    os.getppid = lambda: call["parent"]
    sys.executable = python
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:1] = paths if call["program"] != "python" else [str(Path.cwd()), *paths]
    program, arguments = call["program"], call["arguments"]
    sys.orig_argv = [python, *([] if program == "python" else [str(Path(python).with_name(program))]), *arguments]
    if paths:
        sys.modules.pop("sitecustomize", None)
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module("sitecustomize")
    if program != "python":
        sys.argv = [str(Path(python).with_name(program)), *arguments]
        sys.exit(importlib.import_module(f"{program}.cli").main())
    option, code, *arguments = arguments
    sys.argv = [option, *arguments]
    if option == "-m":
        runpy.run_module(code, run_name="__main__", alter_sys=True)
    else:
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})


def exit_after(main, *arguments) -> None:
    """Run `main` and exit with its status, without the second that finalizing all imported packages takes."""
    status = 0
    try:
        main(*arguments)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        if status and not isinstance(error.code, int):
            print(error.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    for package in PACKAGES:
        importlib.import_module(package)
    sys.modules["snakemake.cli"].get_argument_parser()  # imports its plugins
    gc.collect()
    gc.freeze()  # otherwise the garbage collector of a fork would copy every page
    exit_after(run, serve(), sys.argv[1])
