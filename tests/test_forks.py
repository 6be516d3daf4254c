"""A forked program behaves as the real program."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.xdist_group("workflow")
SHOW = """
import json, os, sys
paths = [os.path.realpath(path or os.getcwd()) for path in sys.path[:2]]
variables = {name: value for name, value in os.environ.items() if name not in ("LC_CTYPE", "_")}
arguments = [sys.argv, sys.orig_argv[1:], __name__]
print(json.dumps([arguments, os.getcwd(), paths, os.getppid(), variables, sys.stdin.read()]))
sys.stderr.write("to stderr")
"""


def run(python, *arguments, path="/tmp", **options):
    environment = {**os.environ, "PYTHONPATH": str(path), "EXTRA": "1"}
    streams = {"input": "from stdin", "capture_output": True, "text": True, "check": False}
    return subprocess.run([str(python), *arguments], env=environment, **streams, **options)


@pytest.mark.parametrize(
    "arguments",
    [
        ("-c", SHOW, "a", "b c"),
        ("-c", "raise SystemExit(3)"),
        ("-c", "raise SystemExit('a line')"),
        ("-c", "import atexit; atexit.register(print, 'the end')"),
        ("-c", "import threading; threading.Timer(0.1, print, ['later']).start()"),
        ("-c", "1 / 0"),
    ],
)
def test_fork_has_the_status_and_streams_of_the_real_program(programs, tmp_path, arguments):
    (tmp_path / "sitecustomize.py").write_text("import os; os.environ['CUSTOMIZED'] = 'yes'")
    options = {"cwd": tmp_path, "path": tmp_path}
    real, fork = (run(python, *arguments, **options) for python in (sys.executable, programs / "python"))
    assert ("CUSTOMIZED" in real.stdout) == (SHOW in arguments)
    assert (fork.returncode, fork.stdout) == (real.returncode, real.stdout)
    assert fork.stderr.splitlines()[-1:] == real.stderr.splitlines()[-1:]


def test_a_signal_gives_the_exit_status_of_a_shell(programs):
    assert run(programs / "python", "-c", "import os; os.kill(os.getpid(), 9)").returncode == 128 + 9


def test_the_server_imports_no_module_of_the_project(programs):
    code = "import sys; print([name for name in sys.modules if name.partition('.')[0] in ('daso', 'tests')])"
    assert run(programs / "python", "-c", code).stdout == "[]\n"
