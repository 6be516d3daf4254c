"""Push results to an S3 server on loopback, pull them into a fresh clone, and render the report there again."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections import Counter

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from tests.workflow.project import METHODS, SETTING, Project, jobs

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("dvc")]
BUCKET = "results"
# The server accepts any credentials.
KEYS = {"access_key_id": "test", "secret_access_key": "test"}


@pytest.fixture(scope="module", autouse=True)
def no_credentials(tmp_path_factory):
    """Hide the AWS credentials of whoever runs the tests."""
    empty = tmp_path_factory.mktemp("nobody") / "empty"
    empty.write_text("")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, str(empty))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Yield a client of a new server with an empty bucket; the address is `client.meta.endpoint_url`."""
    port = free_port()
    with (tmp_path_factory.mktemp("server") / "log").open("w") as log:
        command = (sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port))
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        options = {f"aws_{name}": value for name, value in KEYS.items()} | {"region_name": "us-east-1"}
        client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", config=Config(proxies={}), **options)
        end = time.monotonic() + 60
        while True:
            assert process.poll() is None
            with contextlib.suppress(BotoCoreError):
                client.create_bucket(Bucket=BUCKET)
                break
            assert time.monotonic() < end
            time.sleep(0.2)
        yield client
    finally:
        process.terminate()
        process.wait(timeout=600)


def connect(project, client):
    """Configure the store as a user does: its address for everybody, in git; the keys for this copy only."""
    if "store" not in project.dvc("remote", "list"):
        project.dvc("remote", "add", "--default", "store", f"s3://{BUCKET}/daso")
        project.dvc("remote", "modify", "store", "verify", "true")
        project.dvc("remote", "modify", "store", "endpointurl", client.meta.endpoint_url)
    for name, value in KEYS.items():
        project.dvc("remote", "modify", "--local", "store", name, value)


@pytest.fixture(scope="module")
def clone(changed, server, tmp_path_factory):
    """Return a fresh clone that has pulled its results from the store."""
    place = tmp_path_factory.mktemp("remote")
    project = changed.copy(place / "source")
    connect(project, server)
    project.commit("a store")
    assert project.git("grep", "-c", "secret_access_key", "HEAD", "--", ".dvc", fails=True) == ""
    project.dvc("push")
    project.git("clone", "-q", ".", str(place / "project"))
    clone = Project(place / "project")
    connect(clone, server)
    assert not (clone.path / "runs").exists()
    clone.dvc("pull")
    clone.source = project
    return clone


def test_store_has_exactly_the_objects_of_the_last_revision(clone, server):
    """The source's cache also has the objects of the first revision, which are not pushed."""
    stored = {entry["Key"]: entry["Size"] for entry in server.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert len(stored) > 20
    cache = clone.path / ".dvc/cache"
    assert stored == {
        f"daso/{path.relative_to(cache).as_posix()}": path.stat().st_size
        for path in cache.glob("files/md5/??/*")
        if path.is_file()
    }


def test_clone_has_the_results_and_nothing_to_do(clone):
    assert clone.results() == clone.source.results()
    for method in METHODS:
        path = f"runs/digits/{SETTING}/tiny/{method}/s0/final.pt"
        assert (clone.path / path).read_bytes() == (clone.source.path / path).read_bytes()
    assert clone.planned() == Counter()
    assert "up to date" in clone.dvc("status")
    assert "in sync" in clone.dvc("status", "--cloud")


def test_report_is_reproduced_without_training(clone, tmp_path):
    project = clone.copy(tmp_path / "project")
    report = project.path / "reports/tiny"
    before = {path: path.read_bytes() for path in report.rglob("*") if path.is_file()}
    assert {"index.html", "report.md", "metrics.json", "cells.csv", "history.csv"} < {path.name for path in before}
    project.call("rm", "-r", "reports/tiny")
    assert jobs(project.snakemake()) == Counter(["report tiny"])
    assert {path: path.read_bytes() for path in report.rglob("*") if path.is_file()} == before
    assert "up to date" in project.dvc("status")


def test_object_damaged_in_the_store_is_refused(clone, server, tmp_path):
    """With `verify`, DVC compares each pulled object with the digest in its name."""
    project = clone.copy(tmp_path / "project")
    run = f"runs/digits/{SETTING}/tiny/{METHODS[0]}/s0"
    path = project.path / run / "final.pt"
    whole = path.read_bytes()
    key = next(
        entry["Key"]
        for entry in server.list_objects_v2(Bucket=BUCKET)["Contents"]
        if entry["Size"] == len(whole) and (project.path / ".dvc/cache" / entry["Key"][5:]).read_bytes() == whole
    )
    server.put_object(Bucket=BUCKET, Key=key, Body=whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        project.call("rm", "-rf", ".dvc/cache", "runs")
        output = project.dvc("pull", fails=True)
        assert f"{run}/final.pt" in output or "runs" in output
        assert not path.exists() or path.read_bytes() == whole
    finally:
        server.put_object(Bucket=BUCKET, Key=key, Body=whole)
