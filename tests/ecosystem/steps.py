"""The steps that suites are made of."""

import os
import shutil
import signal
import subprocess

# No suite may take longer.
SUITE_SECONDS = 900


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
