"""The Go client's own tests. The client is as it was published; of its harness one wait is left out, see below."""

import json
import os
import re
import shutil

from expected import List
from servers import Kind, Program
from steps import SuiteFailed, environment, execute, keep_log, run_tests, tool

HERE = os.path.dirname(os.path.abspath(__file__))
# One more than tests that have ever panicked in one run, and some.
RUNS_MAX = 8
HARNESS = "github.com/hashicorp/consul/sdk"


def module_without_wait(module, folder):
    """A module file whose harness does not wait for the certificate authority of Connect before every test.

    Of the tests that wait so, nearly all ask for nothing of Connect, and a server without it could show nothing.
    """
    # What is there already is not downloaded again.
    found = json.loads(execute(["go", "mod", "download", "-json", HARNESS], cwd=module))["Dir"]
    shutil.rmtree(folder, ignore_errors=True)
    # What the registry gave cannot be written: files without their modes, folders with what lets us write and remove.
    shutil.copytree(found, folder, copy_function=shutil.copyfile)
    for path, _, _ in os.walk(folder):
        os.chmod(path, 0o755)
    path = os.path.join(folder, "testutil", "server.go")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    wait = r"(func \(s \*TestServer\) WaitForActiveCARoot\(.*\) \{\n)"
    changed, waits = re.subn(wait, r"\1\tif true {\n\t\treturn\n\t}\n", text)
    if waits != 1:
        raise SuiteFailed(f"{path}: the wait for the certificate authority is not where it was")
    with open(path, "w", encoding="utf-8") as file:
        file.write(changed)
    modfile = os.path.join(folder, "ecosystem.mod")
    shutil.copyfile(os.path.join(module, "go.mod"), modfile)
    shutil.copyfile(os.path.join(module, "go.sum"), os.path.join(folder, "ecosystem.sum"))
    execute(["go", "mod", "edit", f"-replace={HARNESS}={folder}", modfile])
    return modfile


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
        modfile = module_without_wait(module, os.path.join(work, f"{name}-harness"))
        bin_dir = os.path.join(work, f"bin-{server.kind.value}")
        os.makedirs(bin_dir, exist_ok=True)
        link = os.path.join(bin_dir, "consul")
        if os.path.lexists(link):
            os.remove(link)
        target = server.path if server.kind is Kind.LICTOR else os.path.join(HERE, "older-consul")
        os.symlink(target, link)
        env = environment(PATH=f"{bin_dir}:{os.environ['PATH']}", OLDER_CONSUL=server.path, GOFLAGS="-mod=readonly")
        # The tests mostly wait for servers, so more of them than cores run at once.
        command = ["go", "test", f"-modfile={modfile}", "-json", "-count=1", "-timeout=10m", "github.com/hashicorp/consul/api"]
        outcomes, output = {}, ""
        # A test that panics ends all that come after it: those run again without it.
        for _ in range(RUNS_MAX):
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
