"""Results go to a store like S3 on loopback and come back to a fresh clone, which renders the report again."""

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
# Credentials of a server that takes any.
KEYS = {"access_key_id": "test", "secret_access_key": "test"}


@pytest.fixture(scope="module", autouse=True)
def nobody(tmp_path_factory):
    """No account of the person who runs the tests is known."""
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
    """A client of a server of its own, with an empty bucket; its address is `client.meta.endpoint_url`."""
    port = free_port()
    with (tmp_path_factory.mktemp("server") / "log").open("w") as log:
        words = (sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port))
        process = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT)
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
    """What a person types to use the store: the place for everybody, by git; the keys for this copy alone."""
    if "store" not in project.dvc("remote", "list"):
        project.dvc("remote", "add", "--default", "store", f"s3://{BUCKET}/daso")
        project.dvc("remote", "modify", "store", "verify", "true")
        project.dvc("remote", "modify", "store", "endpointurl", client.meta.endpoint_url)
    for name, value in KEYS.items():
        project.dvc("remote", "modify", "--local", "store", name, value)


@pytest.fixture(scope="module")
def clone(changed, server, tmp_path_factory):
    """A fresh clone with what was pushed to the store pulled from it."""
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


def test_every_object_of_the_cache_is_in_the_store(clone, server):
    """Both revisions were made in one cache; only what the last one names is pushed."""
    found = {entry["Key"]: entry["Size"] for entry in server.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert len(found) > 20
    cache = clone.path / ".dvc/cache"
    assert found == {
        f"daso/{path.relative_to(cache).as_posix()}": path.stat().st_size
        for path in cache.glob("files/md5/??/*")
        if path.is_file()
    }


def test_the_clone_has_the_results_and_nothing_to_do(clone):
    assert clone.results() == clone.source.results()
    for method in METHODS:
        path = f"runs/digits/{SETTING}/tiny/{method}/s0/final.pt"
        assert (clone.path / path).read_bytes() == (clone.source.path / path).read_bytes()
    assert clone.planned() == Counter()
    assert "up to date" in clone.dvc("status")
    assert "in sync" in clone.dvc("status", "--cloud")


def test_the_report_comes_out_the_same_without_training(clone, tmp_path):
    project = clone.copy(tmp_path / "project")
    report = project.path / "reports/tiny"
    before = {path.name: path.read_bytes() for path in report.iterdir()}
    assert {"index.html", "report.md", "metrics.json", "cells.csv", "history.csv"} < set(before)
    project.call("rm", "-r", "reports/tiny")
    assert jobs(project.snakemake()) == Counter(["report tiny"])
    assert {path.name: path.read_bytes() for path in report.iterdir()} == before
    assert "up to date" in project.dvc("status")


def test_an_object_damaged_in_the_store_is_not_taken(clone, server, tmp_path):
    """Where the remote is one to verify, DVC compares what it pulls with its name."""
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
        said = project.dvc("pull", fails=True)
        assert f"{run}/final.pt" in said or "runs" in said
        assert not path.exists() or path.read_bytes() == whole
    finally:
        server.put_object(Bucket=BUCKET, Key=key, Body=whole)
