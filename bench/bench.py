"""Windlass beside its peers, whole processes side by side on one SeaweedFS; prints ratios.

The machine is shared by client and server: trust ratios of one run, not single times.
"""

import argparse
import glob
import json
import os
import subprocess
import tempfile
import time
import urllib.request

from crawl import Crawls
from measure import compare, run
from query import Queries
from servers import KEY, SECRET, helper, seaweed, served

WORKS = ["start", "idle", "small", "large", "list", "flat", "sync", "tpch", "text", "first", "crawl", "far", "glob", "endless"]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--windlass", required=True)
    arguments.add_argument("--tools", required=True, help="the program windlass-bench")
    arguments.add_argument("--peers", required=True)
    arguments.add_argument("--weed", required=True)
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--keys", type=int, default=200_000)
    arguments.add_argument("--files", type=int, default=20_000)
    arguments.add_argument("--scale", type=float, default=1, help="of TPC-H")
    arguments.add_argument("--rows", type=int, default=8_000_000, help="of the text files")
    arguments.add_argument("--only", nargs="*", choices=WORKS, default=WORKS)
    options = arguments.parse_args()
    bench = Bench(options)
    with tempfile.TemporaryDirectory(prefix="windlass-bench-") as folder:
        bench.prepare(folder)
        if "start" in options.only:
            for command in (["--version"], ["sql", "-c", "SHOW CONNECTIONS"]):
                compare(f"start-up: windlass {' '.join(command)}", {"windlass": [bench.windlass, *command]}, bench.env, 20)
        if "idle" in options.only:
            bench.idle()
        if "endless" in options.only:
            bench.endless()
        crawls = Crawls(bench)
        for work in ("crawl", "glob"):
            if work in options.only:
                getattr(crawls, work)()
        if set(options.only) - {"start", "idle", "endless", "crawl", "glob"}:
            with seaweed(os.path.abspath(options.weed), folder, bench.env, bench.s5cmd_program) as endpoint:
                bench.connect(endpoint)
                for work in ("small", "large", "list", "flat", "sync"):
                    if work in options.only:
                        getattr(bench, work)()
                queries = Queries(bench)
                for work in ("tpch", "text", "first"):
                    if work in options.only:
                        getattr(queries, work)()
                if "far" in options.only:
                    crawls.far()


class Bench:
    def __init__(self, options):
        self.options = options
        self.windlass = os.path.abspath(options.windlass)
        self.tools = os.path.abspath(options.tools)
        # The program itself: the package's entry point is a Python script, whose start would count.
        self.s5cmd_program = (glob.glob(os.path.join(options.peers, "..", "lib", "*", "site-packages", "s5cmd", "bin", "s5cmd"))
                              or [os.path.join(options.peers, "s5cmd")])[0]

    def prepare(self, folder):
        self.folder = folder
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "WINDLASS_HOME": os.path.join(folder, "home"),
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        run([self.windlass, "sql", "-c", "SHOW CONNECTIONS"], self.env)  # makes the home

    def connect(self, endpoint, name="b"):
        """The service for every tool, under `name`."""
        self.endpoint = endpoint
        run([self.windlass, "sql", "-c", f"CREATE OR REPLACE S3 CONNECTION {name} ENDPOINT = '{endpoint}' ALLOW_HTTP = TRUE "
             f"AWS_ACCESS_KEY_ID = '{KEY}' AWS_SECRET_ACCESS_KEY = '{SECRET}' SKIP_VALIDATION = TRUE"], self.env)
        with open(os.path.join(self.folder, "rclone.conf"), "a") as file:
            file.write(f"[{name}]\ntype = s3\nprovider = Other\nendpoint = {endpoint}\naccess_key_id = {KEY}\n"
                       f"secret_access_key = {SECRET}\nforce_path_style = true\n")

    def s5cmd(self, *words, endpoint=None):
        return [self.s5cmd_program, "--endpoint-url", endpoint or self.endpoint, "--numworkers", "64", *words]

    def rclone(self, *words):
        return [os.path.join(self.options.peers, "rclone"), "--config", os.path.join(self.folder, "rclone.conf"),
                "--transfers", "64", "--checkers", "64", "--fast-list", "--s3-no-head", *words]

    def tree(self, name, count, size):
        """`count` files of `size` random bytes in 200 folders."""
        at = os.path.join(self.folder, name)
        if os.path.isdir(at):
            return at
        block = os.urandom(size + 4096)
        for number in range(count):
            place = os.path.join(at, f"{number % 200:03}")
            if number < 200:
                os.makedirs(place)
            with open(os.path.join(place, f"{number:07}.bin"), "wb") as file:
                file.write(block[number % 4096:][:size])
        return at

    def idle(self):
        with served(self.windlass, self.env) as (url, server):
            urllib.request.urlopen(f"{url}/api/v1/health", timeout=10).read()
            time.sleep(1)
            with open(f"/proc/{server.pid}/status") as status:
                rss = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))
            print(f"\nserve, idle: {rss:.1f} MB", flush=True)

    def small(self):
        count, runs = self.options.files, self.options.runs
        tree = self.tree("small", count, 10_240)
        compare(f"upload of {count} files of 10 KB", {
            "windlass": [self.windlass, "cp", f"{tree}/", "b:bench/small/"],
            "s5cmd": self.s5cmd("cp", f"{tree}/", "s3://bench/small/"),
            "rclone": self.rclone("copy", "--no-traverse", "--ignore-times", tree, "b:bench/small"),
        }, self.env, runs)
        compare(f"download of {count} objects of 10 KB", {
            "windlass": [self.windlass, "cp", "b:bench/small/", "FRESH/"],
            "s5cmd": self.s5cmd("cp", "s3://bench/small/*", "FRESH/"),
            "rclone": self.rclone("copy", "b:bench/small", "FRESH"),
        }, self.env, runs, fresh=os.path.join(self.folder, "down"))
        compare(f"copy of {count} objects of 10 KB within the service", {
            "windlass": [self.windlass, "cp", "b:bench/small/", "b:bench/copy-w/"],
            "s5cmd": self.s5cmd("cp", "s3://bench/small/*", "s3://bench/copy-s/"),
            "rclone": self.rclone("copy", "--ignore-times", "b:bench/small", "b:bench/copy-r"),
        }, self.env, runs)

    def large(self):
        at = os.path.join(self.folder, "large")
        os.makedirs(at, exist_ok=True)
        for name in ("one.bin", "two.bin"):
            with open(os.path.join(at, name), "wb") as file:
                for _ in range(64):
                    file.write(os.urandom(8 << 20))
        compare("upload of 2 x 512 MB", {
            "windlass": [self.windlass, "cp", f"{at}/", "b:bench/large/"],
            "s5cmd": self.s5cmd("cp", f"{at}/", "s3://bench/large/"),
            "rclone": self.rclone("copy", "--no-traverse", "--ignore-times", at, "b:bench/large"),
        }, self.env, self.options.runs)
        down = os.path.join(self.folder, "down")
        # Windlass uploads with a checksum that the service keeps; after s5cmd and rclone there is but the ETag.
        for uploader, upload in {
            "windlass: a kept checksum": [self.windlass, "cp", f"{at}/", "b:bench/large/"],
            "rclone: an ETag only": self.rclone("copy", "--no-traverse", "--ignore-times", at, "b:bench/large"),
        }.items():
            run(upload, self.env)
            compare(f"download of 2 x 512 MB, uploaded by {uploader}", {
                "windlass": [self.windlass, "cp", "b:bench/large/", f"{down}/"],
                "s5cmd": self.s5cmd("cp", "s3://bench/large/*", f"{down}/"),
                "rclone": self.rclone("copy", "b:bench/large", down),
            }, self.env, self.options.runs, clean=[down])

    def fill(self, bucket, flat):
        tree = self.tree("tiny", self.options.keys, 1)
        print(f"\nuploading {self.options.keys} keys …", flush=True)
        subprocess.run(self.s5cmd("mb", f"s3://{bucket}"), env=self.env, capture_output=True)
        source = os.path.join(tree, "*", "*") if flat else f"{tree}/"
        run(self.s5cmd("cp", *(["--flatten"] if flat else []), source, f"s3://{bucket}/" + ("flat/" if flat else "")), self.env)

    def listings(self, bucket, what):
        tools = lambda connection, endpoint: {
            "windlass": [self.windlass, "-o", "jsonl", "ls", "-r", f"{connection}:{bucket}/"],
            "s5cmd": self.s5cmd("ls", f"s3://{bucket}/*", endpoint=endpoint),
            "rclone": self.rclone("lsf", "-R", "--files-only", "--format", "ps", f"{connection}:{bucket}"),
        }
        compare(f"listing of {self.options.keys} keys, {what}", tools("b", self.endpoint), self.env, self.options.runs)
        near = self.endpoint
        with helper(self.tools, "delay", near.removeprefix("http://"), 30) as address:
            self.connect(f"http://{address}", f"far_{bucket}")
            compare(f"listing of {self.options.keys} keys, {what}, 30 ms added to each request",
                    tools(f"far_{bucket}", f"http://{address}"), self.env, self.options.runs, warm=False)
        self.endpoint = near

    def list(self):
        self.fill("tree", flat=False)
        self.listings("tree", "200 folders")

    def flat(self):
        self.fill("flat", flat=True)
        self.listings("flat", "one flat prefix")

    def sync(self):
        self.fill("tree", flat=False)
        subprocess.run(self.s5cmd("mb", "s3://twin"), env=self.env, capture_output=True)
        run([self.windlass, "cp", "b:tree/", "b:twin/"], self.env)
        compare(f"sync of two equal trees of {self.options.keys}", {
            "windlass": [self.windlass, "sync", "b:tree/", "b:twin/"],
            "s5cmd": self.s5cmd("sync", "s3://tree/*", "s3://twin/"),
            "rclone": self.rclone("sync", "--size-only", "b:tree", "b:twin"),
        }, self.env, self.options.runs)

    def endless(self):
        keys = 5_000_000
        with helper(self.tools, "listing", keys, 1000) as address:
            self.connect(f"http://{address}", "endless")
            compare(f"sync of {keys} keys against {keys}, nothing to do", {
                "windlass": [self.windlass, "sync", "endless:one/", "endless:two/"],
            }, self.env, 1, warm=False)


if __name__ == "__main__":
    main()
