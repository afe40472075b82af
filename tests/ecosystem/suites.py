"""The suites: what each needs, how it runs, and the outcome of each of its tests, `pass` or `fail`.

The clients' sources and their own tests come from the package registries, at the versions of the lock files beside
this; nothing of the clients is changed. What is built or downloaded goes into a work folder and is used again.
"""

import json
import os
import re
import shutil
import sys
import tarfile
from xml.etree import ElementTree

from expected import List
from go_client import go_api
from servers import Kind, Program, Server
from steps import SuiteFailed, environment, execute, keep_log, run_tests, tool

HERE = os.path.dirname(os.path.abspath(__file__))
PY_CONSUL = "1.8.0"
# py-consul's suite runs each test once for each of these images; here they are all the same server.
PY_CONSUL_IMAGE = "1.22.0"
RS_CONSUL = "0.15.0"


def junit(path):
    """The outcomes in a JUnit report; names as `file::class::test` where the report has them."""
    outcomes = {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        bad = any(case.find(tag) is not None for tag in ("failure", "error", "skipped"))
        name = "::".join(filter(None, (case.get("classname"), case.get("name"))))
        outcomes[name] = "fail" if bad else "pass"
    return outcomes


def py_consul(server: Program, work):
    """py-consul's own tests; they start a container for nearly every test, which python/docker turns into a process."""
    tool("python3", "--version")
    venv = os.path.join(work, "python")
    python = os.path.join(venv, "bin", "python")
    lock = os.path.join(HERE, "python", "requirements.txt")
    if not os.path.exists(python):
        execute([sys.executable, "-m", "venv", venv])
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    execute([*pip, "install", "--require-hashes", "-r", lock])
    source = os.path.join(work, f"py_consul-{PY_CONSUL}")
    if not os.path.isdir(source):
        sdist = os.path.join(HERE, "python", "sdist.txt")
        download = ["download", "--no-deps", "--no-build-isolation", "--no-binary=:all:", "--require-hashes"]
        execute([*pip, *download, "-r", sdist, "-d", work])
        with tarfile.open(f"{source}.tar.gz") as archive:
            archive.extractall(work, filter="data")
    report = os.path.join(work, "py-consul.xml")
    env = environment(
        PYTHONPATH=os.path.join(HERE, "python"),
        PYTHONDONTWRITEBYTECODE="1",
        ECOSYSTEM_KIND=server.kind.value,
        ECOSYSTEM_PROGRAM=server.path,
    )
    others = " or ".join(v for v in ("1.20.6", "1.21.5", "1.22.0") if v != PY_CONSUL_IMAGE)
    command = [python, "-m", "pytest", "-q", "-o", "addopts=", f"--junitxml={report}", "-p", "no:cacheprovider"]
    done = run_tests([*command, "-n4", "-k", f"not ({others})", "tests"], cwd=source, env=env)
    log = keep_log(work, "py-consul", done.stdout + done.stderr)
    # 0: all passed, 1: some failed.
    if done.returncode not in (0, 1):
        raise SuiteFailed(f"pytest: exit status {done.returncode}, see {log}\n{done.stdout[-4000:]}")
    found, wanted = junit(report), List.read("py-consul")
    plain = {name: name.replace(f"[{PY_CONSUL_IMAGE}]", "") for name in found}
    # Some count seconds, which a busy machine may miss: again, by themselves.
    missed = [name for name in found if found[name] == "fail" and wanted.passes(server.kind, plain[name])]
    if missed:
        again = run_tests([*command, *map(pytest_id, missed)], cwd=source, env=env)
        keep_log(work, "py-consul-again", again.stdout + again.stderr)
        found.update(junit(report))
    return {plain.get(name, name): outcome for name, outcome in found.items()}


def pytest_id(name):
    """What pytest calls a test that its report calls so."""
    place, _, test = name.rpartition("::")
    parts = place.split(".")
    inside = [parts.pop()] if parts[-1][:1].isupper() else []
    return "::".join(["/".join(parts) + ".py", *inside, test])


def npm_consul(server: Program, work):
    """Every method of the npm package `consul`, which carries no tests of its own."""
    tool("node", "--version")
    tool("npm", "--version")
    folder = os.path.join(work, "node")
    shutil.copytree(os.path.join(HERE, "node"), folder, dirs_exist_ok=True)
    execute(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=folder)
    report = os.path.join(work, "npm-consul.xml")
    tests = sorted(name for name in os.listdir(folder) if name.endswith(".test.js"))
    with Server(server, {"enable_script_checks": True}) as running:
        env = environment(ECOSYSTEM_PORT=str(running.port))
        reporter = ["--test-reporter=junit", f"--test-reporter-destination={report}"]
        command = ["node", "--test", "--test-concurrency=1", "--test-timeout=60000", *reporter, *tests]
        done = run_tests(command, cwd=folder, env=env)
        keep_log(work, "npm-consul", done.stdout + done.stderr + running.output())
    # The class of every test of this runner is "test".
    return {name.removeprefix("test::"): outcome for name, outcome in junit(report).items()}


def rs_consul(server: Program, work):
    """rs-consul's own tests, which use one server with the services of the crate's testdata."""
    tool("cargo", "--version")
    pinned = os.path.join(HERE, "rust", "Cargo.toml")
    metadata = json.loads(execute(["cargo", "metadata", "--locked", "--format-version=1", "--manifest-path", pinned]))
    package = next(p for p in metadata["packages"] if p["name"] == "rs-consul" and p["version"] == RS_CONSUL)
    source = os.path.join(work, f"rs-consul-{RS_CONSUL}")
    shutil.rmtree(source, ignore_errors=True)
    # Its own toolchain file names one that need not be here; its own lock file is kept.
    ignored = shutil.ignore_patterns("rust-toolchain*")
    shutil.copytree(os.path.dirname(package["manifest_path"]), source, ignore=ignored)
    target = os.path.join(work, "rust")
    cargo = ["cargo", "test", "--locked", "--test", "test_runner"]
    with open(os.path.join(source, "testdata", "config.hcl"), encoding="utf-8") as file:
        services = hcl_services(file.read())
    execute([*cargo, "--no-run"], cwd=source, env=environment(CARGO_TARGET_DIR=target, CARGO_PROFILE_DEV_DEBUG="0"))
    config = {"services": services, "datacenter": "dc1", "acl": ACL, "primary_datacenter": "dc1"}
    with Server(server, config if server.kind is Kind.CONSUL else {**config, "acl": {}}) as running:
        env = environment(
            CARGO_TARGET_DIR=target,
            CARGO_PROFILE_DEV_DEBUG="0",
            CONSUL_HTTP_ADDR=f"http://{running.address}",
        )
        done = run_tests(cargo + ["--no-fail-fast"], cwd=source, env=env)
        keep_log(work, "rs-consul", done.stdout + done.stderr + running.output())
    found = re.findall(r"^test (\S+) \.\.\. (ok|FAILED|ignored)", done.stdout, re.MULTILINE)
    return {name: "pass" if outcome == "ok" else "fail" for name, outcome in found}


# What the `acl` block of the crate's config.hcl says.
ACL = {
    "enabled": True,
    "default_policy": "allow",
    "tokens": {"initial_management": "8fc9e787-674f-0709-cfd5-bfdabd73a70d"},
}


def hcl_services(text):
    """The `services` blocks of the crate's config.hcl, which holds nothing but plain assignments, as JSON has them."""
    services = []
    for block in re.findall(r"^services \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL):
        pairs = re.findall(r"^\s*(\w+)\s*=\s*(.+)$", block, re.MULTILINE)
        services.append({key: json.loads(value) for key, value in pairs})
    return services


ALL = {
    "go-api-1.7": go_api("1.7"),
    "go-api-1.34": go_api("1.34"),
    "npm-consul": npm_consul,
    "py-consul": py_consul,
    "rs-consul": rs_consul,
}
