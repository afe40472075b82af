"""The suites: what each needs, how it runs, and the outcome of each of its tests, `pass` or `fail`.

The clients' sources and their own tests come from the package registries, at the versions of the lock files beside
this; nothing of them is changed. What is built or downloaded goes into a work folder and is used again.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from xml.etree import ElementTree

from expected import List
from servers import Kind, Program, Server

HERE = os.path.dirname(os.path.abspath(__file__))
PY_CONSUL = "1.8.0"
# py-consul's suite runs each test once for each of these images; here they are all the same server.
PY_CONSUL_IMAGE = "1.22.0"
RS_CONSUL = "0.15.0"
# No suite may take longer.
SUITE_SECONDS = 900
# One more than tests of the Go client that have ever panicked in one run, and some.
GO_RUNS_MAX = 8


class ToolMissing(Exception):
    """Something that must be installed is not."""


class SuiteFailed(Exception):
    """The suite could not run at all."""


def tool(name, *version):
    if shutil.which(name) is None or subprocess.run([name, *version], capture_output=True, check=False).returncode:
        raise ToolMissing(f"{name} is not installed")


def execute(command, **options):
    """Runs a step that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise SuiteFailed(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def run_tests(command, **options):
    """Runs tests; what they have started and not stopped is ended with them."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True, **options) as tests:
        try:
            out, err = tests.communicate(timeout=SUITE_SECONDS)
        except subprocess.TimeoutExpired as late:
            raise SuiteFailed(f"{command[0]} has not ended within {SUITE_SECONDS} s") from late
        finally:
            try:
                os.killpg(tests.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    return subprocess.CompletedProcess(command, tests.returncode, out, err)


def environment(**more):
    """The environment without what would lead a client elsewhere."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CONSUL_", "LICTOR_"))}
    return {**kept, **more}


def keep_log(work, suite, text):
    path = os.path.join(work, f"{suite}.log")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def junit(path):
    """The outcomes in a JUnit report; names as `file::class::test` where the report has them."""
    outcomes = {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        bad = any(case.find(tag) is not None for tag in ("failure", "error", "skipped"))
        name = "::".join(filter(None, (case.get("classname"), case.get("name"))))
        outcomes[name] = "fail" if bad else "pass"
    return outcomes


def go_outcomes(output):
    """Of the tests themselves; the cases inside a test come and go with it."""
    outcomes = {}
    for line in output.splitlines():
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("Test") and event["Action"] in ("pass", "fail", "skip") and "/" not in event["Test"]:
            outcomes[event["Test"]] = "pass" if event["Action"] == "pass" else "fail"
    return outcomes


def go_api(version):
    """The Go client's own tests; they start `consul` from the path for nearly every test."""

    def suite(server: Program, work):
        tool("go", "version")
        name = f"go-api-{version}"
        module = os.path.join(HERE, f"go-{version}")
        bin_dir = os.path.join(work, f"bin-{server.kind.value}")
        os.makedirs(bin_dir, exist_ok=True)
        link = os.path.join(bin_dir, "consul")
        if os.path.lexists(link):
            os.remove(link)
        target = server.path if server.kind is Kind.LICTOR else os.path.join(HERE, "older-consul")
        os.symlink(target, link)
        env = environment(PATH=f"{bin_dir}:{os.environ['PATH']}", OLDER_CONSUL=server.path, GOFLAGS="-mod=readonly")
        # The tests mostly wait for servers, so more of them than cores run at once.
        command = ["go", "test", "-json", "-count=1", "-timeout=10m", "github.com/hashicorp/consul/api"]
        outcomes, output = {}, ""
        # A test that panics ends all that come after it: those run again without it.
        for _ in range(GO_RUNS_MAX):
            skip = [f"-skip=^({'|'.join(outcomes)})$"] if outcomes else []
            done = run_tests([*command, "-parallel=8", *skip], cwd=module, env=env)
            output += done.stdout + done.stderr
            found = go_outcomes(done.stdout)
            outcomes.update(found)
            if not found or "panic: " not in done.stdout or "test timed out" in done.stdout:
                break
        log = keep_log(work, name, output)
        if not outcomes:
            raise SuiteFailed(f"go test ran nothing, see {log}\n{output[-4000:]}")
        # A server must be up within two seconds there, which a busy machine may miss: again, by themselves.
        wanted = List.read(name)
        for parallel in (2, 1):
            missed = [test for test, outcome in outcomes.items() if outcome == "fail" and wanted.passes(server.kind, test)]
            if missed:
                only = [f"-parallel={parallel}", f"-run=^({'|'.join(missed)})$"]
                again = run_tests([*command, *only], cwd=module, env=env)
                keep_log(work, f"{name}-again-{parallel}", again.stdout + again.stderr)
                outcomes.update(go_outcomes(again.stdout))
        return outcomes

    return suite


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
