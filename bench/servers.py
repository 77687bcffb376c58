"""Servers of a benchmark: SeaweedFS, a proxy that adds latency, a listing without end."""

import contextlib
import json
import os
import socket
import subprocess
import time

KEY, SECRET = "bench", "bench-secret"


def free_port():
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port < 50000:
            return port


@contextlib.contextmanager
def seaweed(weed, folder, env, s5cmd):
    """SeaweedFS, ready when a bucket can be made; ports are free when asked for, not when used."""
    config = os.path.join(folder, "s3.json")
    with open(config, "w") as file:
        json.dump({"identities": [{"name": "bench", "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
                                   "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}, file)
    for attempt in range(3):
        data = os.path.join(folder, f"data{attempt}")
        os.mkdir(data)
        names = ["master", "volume", "filer", "s3"]
        ports = [free_port() for _ in range(8)]
        flags = [f"-{name}.port={ports[at]}" for at, name in enumerate(names)]
        flags += [f"-{name}.port.grpc={ports[at + 4]}" for at, name in enumerate(names)]
        server = subprocess.Popen(
            [weed, "server", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}", f"-s3.config={config}",
             f"-filer.localSocket={folder}/filer{attempt}.sock", *flags, "-volume.max=50", "-master.telemetry=false",
             "-s3.port.iceberg=0", "-s3.port.lance=0"],
            cwd=folder, env={**env, "HOME": folder}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        endpoint = f"http://127.0.0.1:{ports[3]}"
        begun = time.monotonic()
        while server.poll() is None and time.monotonic() - begun < 90:
            try:
                made = subprocess.run([s5cmd, "--endpoint-url", endpoint, "--retry-count", "0", "mb", "s3://bench"],
                                      env=env, capture_output=True, timeout=15)
            except subprocess.TimeoutExpired:
                continue
            if made.returncode == 0 or b"BucketAlready" in made.stderr:
                try:
                    yield endpoint
                finally:
                    server.terminate()
                    server.wait()
                return
            time.sleep(1)
        server.kill()
        server.wait()
    raise SystemExit("SeaweedFS did not start")


@contextlib.contextmanager
def helper(program, *arguments):
    """`windlass-bench`: gives the address it listens at."""
    server = subprocess.Popen([program, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield server.stdout.readline().decode().strip()
    finally:
        server.terminate()
        server.wait()


@contextlib.contextmanager
def served(windlass, env):
    """`windlass serve`: its URL and its process."""
    server = subprocess.Popen([windlass, "-o", "json", "serve", "--listen", "127.0.0.1:0"], env=env, stdout=subprocess.PIPE)
    try:
        yield json.loads(server.stdout.readline())["listening"], server
    finally:
        server.terminate()
        server.wait()
