"""The documents name what there is: metrics, admin paths, headers, error codes, settings."""

import glob
import json
import os
import re
import subprocess

from gateway import BUILD

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def text(*parts):
    with open(os.path.join(TOP, *parts), encoding="utf-8") as f:
        return f.read()


def server_sources():
    return "\n".join(text(f) for f in glob.glob(os.path.join(TOP, "server", "**", "*.c"), recursive=True) if "virtual" not in os.path.basename(f))


def test_metrics_that_the_readme_names_exist(gw):
    there = set(re.findall(r"^# TYPE (\S+)", gw.admin("GET", "/metrics").body.decode(), re.M))
    named = set(re.findall(r"`(aigw_[a-z_]+)`", text("README.md")))
    assert len(named) > 5 and named <= there, named - there


def test_admin_paths_are_in_readme_and_man_page(gw):
    readme, man = text("README.md"), text("admin", "aigw-admin.8").replace("\\", "")
    for path in json.loads(gw.admin("GET", "/openapi.json").body)["paths"]:
        last = "/" + path.rsplit("/", 1)[1] if path.count("/") > 3 else re.sub(r"/\{.*", "", path)
        assert last in readme, path
        assert path == "/" or path == "/openapi.json" or last in man, path


def test_headers_of_ours_are_in_the_readme():
    readme = text("README.md")
    for header in set(re.findall(r'"(x-aigw-[a-z-]+|retry-after[a-z-]*|x-request-id)"', server_sources())):
        assert f"`{header}" in readme, header


def test_error_codes_are_in_the_readme():
    source, readme = server_sources(), text("README.md")
    codes = set(re.findall(r'answer_error\(\s*\w+,\s*[^,]*,\s*"(\w+)"', source))
    codes |= set(re.findall(r"\] = \{5\d\d, \"(\w+)\"", source))
    for expression in re.findall(r"\.code = ([^,;]*)", source):
        codes |= set(re.findall(r'"(\w+)"', expression))
    codes -= {"gateway_misconfigured", "no_provider"}  # can't come about with a configuration that was accepted
    assert len(codes) > 20
    for code in codes:
        if code != "invalid_value":  # one of those that are OpenAI's own
            assert f"`{code}`" in readme, code


def test_the_sample_is_what_the_program_prints():
    sample = subprocess.run([os.path.join(BUILD, "aigw"), "--print-sample"], capture_output=True, text=True, check=True).stdout
    assert sample == text("conf", "aigw.conf")
    checked = subprocess.run([os.path.join(BUILD, "aigw"), "-t", "-c", "/dev/stdin"], input=sample, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_settings_that_the_readme_names_exist():
    sample = subprocess.run([os.path.join(BUILD, "aigw"), "--print-sample"], capture_output=True, text=True, check=True).stdout
    for group, name in re.findall(r"`(cache|http|ledger|limits|timeouts|workers)\.([a-z_]+)`", text("README.md") + text("SECURITY.md")):
        assert re.search(rf"^#?{group} = \{{.*?^#? *#?{name} = .*?^#?\}};", sample, re.M | re.S), f"{group}.{name}"
