"""The data path of windlass-s3 beside s5cmd and a bare hyper client, on one SeaweedFS.

`cargo build --release -p windlass-s3 --example wire_bench`, then
`python3 bench/wire.py --wire target/release/examples/wire_bench --s5cmd s5cmd --weed weed`.
Per work and tool: medians of wall seconds, client CPU seconds and peak RSS, taken in turn. Trust ratios of one run.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from bench import free_port, run


def serve(weed, folder):
    port, master, volume, filer = (free_port() for _ in range(4))
    config = os.path.join(folder, "s3.json")
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    with open(config, "w") as file:
        json.dump({"identities": [
            {"name": "bench", "credentials": [{"accessKey": "bench", "secretKey": "bench-secret"}], "actions": actions},
            {"name": "anonymous", "actions": actions},  # for the client that does not sign
        ]}, file)
    data = os.path.join(folder, "data")
    os.mkdir(data)
    process = subprocess.Popen(
        [weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}", "-s3", f"-s3.port={port}",
         f"-s3.config={config}", f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}",
         "-volume.max=50"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}"
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{endpoint}/status", timeout=1)
            break
        except urllib.error.HTTPError:
            break
        except OSError:
            time.sleep(0.5)
    return process, endpoint


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--wire", required=True)
    arguments.add_argument("--s5cmd", required=True)
    arguments.add_argument("--weed", required=True)
    arguments.add_argument("--count", type=int, default=20_000)
    arguments.add_argument("--keys", type=int, default=200_000)
    arguments.add_argument("--size", type=int, default=10_240)
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--threads", default="2")
    options = arguments.parse_args()
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "AWS_ACCESS_KEY_ID": "bench",
           "AWS_SECRET_ACCESS_KEY": "bench-secret", "AWS_REGION": "us-east-1"}
    with tempfile.TemporaryDirectory(prefix="windlass-wire-") as folder:
        weed, endpoint = serve(options.weed, folder)
        try:
            compare(options, env, folder, endpoint)
        finally:
            weed.terminate()
            weed.wait()


def compare(options, env, folder, endpoint):
    s5cmd = [options.s5cmd, "--endpoint-url", endpoint, "--numworkers", "64"]
    for _ in range(60):
        made = subprocess.run([*s5cmd, "mb", "s3://bench"], env=env, capture_output=True)
        if made.returncode == 0 or b"BucketAlready" in made.stderr:
            break
        time.sleep(1)
    source, target = os.path.join(folder, "source"), os.path.join(folder, "target")
    for number in range(options.count):
        place = os.path.join(source, f"{number % 200:03}")
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(place, f"{number:07}.bin"), "wb") as file:
            file.write(os.urandom(64) * (options.size // 64))
    ours = [options.wire, "--endpoint", endpoint, "--count", str(options.count), "--size", str(options.size),
            "--threads", options.threads]
    limit = [*ours, "--limit", "--prefix", "limit/"]
    works = {
        "put": [*s5cmd, "cp", f"{source}/", "s3://bench/s5/"],
        "get": [*s5cmd, "cp", "s3://bench/s5/*", f"{target}/"],
        "copy": [*s5cmd, "cp", "s3://bench/s5/*", "s3://bench/s5copy/"],
    }
    for work, theirs in works.items():
        compete(options, env, f"{work} {options.count} x {options.size}", {
            "s5cmd": theirs, "windlass": [*ours, work], "limit": [*limit, work]}, target)
    fill = [options.wire, "--endpoint", endpoint, "--count", str(options.keys), "--size", "1", "--prefix", "many/"]
    run([*fill, "put"], env)
    many = [options.wire, "--endpoint", endpoint, "--prefix", "many/", "--threads", options.threads, "list"]
    compete(options, env, f"list {options.keys}", {
        "s5cmd": [*s5cmd, "ls", "s3://bench/many/*"], "windlass": many, "limit": [*many, "--limit"]}, target)


def compete(options, env, title, tools, target):
    figures = {name: [] for name in tools}
    for _ in range(options.runs):
        for name, command in tools.items():
            shutil.rmtree(target, ignore_errors=True)
            figures[name].append(run(command, env))
    medians = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in figures.items()}
    print(f"\n{title} (median of {options.runs})\n  {'':<10}{'wall s':>9}{'CPU s':>9}{'RSS MB':>9}")
    for name, (wall, cpu, rss) in medians.items():
        print(f"  {name:<10}{wall:>9.2f}{cpu:>9.2f}{rss:>9.1f}")
    for name in ("s5cmd", "limit"):
        wall, cpu, rss = (a / b for a, b in zip(medians["windlass"], medians[name]))
        print(f"  windlass / {name}: wall {wall:.2f}, CPU {cpu:.2f}, RSS {rss:.2f}", flush=True)


if __name__ == "__main__":
    main()
