import gc
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.core.errors import InvalidPolicy, PolicyUnreadable
from guardrails.policy.load import check_files, check_policies, load_files, load_policies

RULE = "  - id: {id}\n    kind: spend_limit\n    limit: 5 USD\n    window: day\n"
ONE = "version: 1\nrules:\n" + RULE.format(id="one")
TWO = "version: 1\nrules:\n" + RULE.format(id="two")
_UNKNOWN_WINDOW = (
    "policies/b.yaml:6:13: `window` is `call`, `minute`, `hour`, `day`, `week`, `month`, `quarter`, `year` or `lifetime`, not `dy`, "
    "did you mean `day`?"
)
TIERS = "version: 1\ntiers:\n  economy: [gpt-5-nano]\n"


def written(folder: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text.encode())
    return folder


def refused(path: Path | str) -> str:
    with pytest.raises(PolicyUnreadable) as error:
        load_policies(path)
    return str(error.value)


def test_loads_a_folder_recursively_in_the_order_of_paths(tmp_path: Path) -> None:
    policies = load_policies(written(tmp_path, {"b.yaml": ONE, "a/z.yml": TWO, "c/d/tiers.yaml": TIERS}))
    assert [rule.id for rule in policies.rules] == ["two", "one"]
    assert list(policies.files) == ["a/z.yml", "b.yaml", "c/d/tiers.yaml"]
    assert policies.tiers[0].models == ("gpt-5-nano",)


def test_names_sources_as_the_folder_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "policies", {"a.yaml": "# first\n" + ONE})
    monkeypatch.chdir(tmp_path)
    assert str(load_policies("policies").rules[0].source) == "policies/a.yaml:4"
    assert str(load_policies("policies/a.yaml").rules[0].source) == "policies/a.yaml:4"
    assert str(load_policies("./policies/").rules[0].source) == "policies/a.yaml:4"
    monkeypatch.chdir("policies")
    assert str(load_policies(".").rules[0].source) == "a.yaml:4"
    assert str(load_policies("a.yaml").rules[0].source) == "a.yaml:4"
    assert str(load_files({"a.yaml": ONE}).rules[0].source) == "policies/a.yaml:3"


def test_leaves_out_tests_hidden_files_and_what_is_no_yaml(tmp_path: Path) -> None:
    nonsense = "nonsense: ["
    files = {
        "a.yaml": ONE,
        "a.test.yaml": nonsense,
        "b.test.yml": nonsense,
        ".c.yaml": nonsense,
        ".d/e.yaml": nonsense,
        "README.md": nonsense,
    }
    assert list(load_policies(written(tmp_path, files)).files) == ["a.yaml"]


def test_keeps_prices_in_the_files_and_in_the_hash(tmp_path: Path) -> None:
    without = load_policies(written(tmp_path, {"a.yaml": ONE}))
    policies = load_policies(written(tmp_path, {"prices.yaml": "version: 1\nprices: []\n"}))
    assert list(policies.files) == ["a.yaml", "prices.yaml"]
    assert policies.hash != without.hash


@pytest.mark.parametrize("path", ["sub/prices.yaml", "prices.yml"])
def test_says_where_prices_belong(path: str) -> None:
    assert [str(each) for each in check_files({"a.yaml": ONE, path: "version: 1\n"})[1]] == [
        f"policies/{path}:1:1: prices stand in prices.yaml at the top of the policy folder, did you mean `prices.yaml`?"
    ]


def test_the_same_content_has_the_same_hash_wherever_it_lies(tmp_path: Path) -> None:
    here = load_policies(written(tmp_path / "here", {"a.yaml": ONE, "sub/b.yaml": TWO}))
    there = load_policies(written(tmp_path / "there/deeper", {"a.yaml": "\ufeff" + ONE.replace("\n", "\r\n"), "sub/b.yaml": TWO}))
    again = load_files(dict(sorted(here.files.items(), reverse=True)), shown_as="elsewhere")
    assert here.hash == there.hash == again.hash
    assert here.hash.startswith("sha256:")
    assert len(here.hash) == len("sha256:") + 64


def test_other_content_or_another_name_has_another_hash() -> None:
    hashes = {
        load_files({"a.yaml": ONE}).hash,
        load_files({"b.yaml": ONE}).hash,
        load_files({"a.yaml": ONE + "\n"}).hash,
        load_files({"a.yaml": ONE, "b.yaml": "version: 1\n"}).hash,
    }
    assert len(hashes) == 4


def test_the_files_of_a_set_load_to_the_same_set(tmp_path: Path) -> None:
    policies = load_policies(written(tmp_path, {"a.yaml": ONE, "b.yaml": TWO, "prices.yaml": "version: 1\n"}))
    again = load_files(policies.files)
    assert again.files == policies.files
    assert [rule.fingerprint for rule in again.rules] == [rule.fingerprint for rule in policies.rules]


def test_a_set_without_rules_is_valid() -> None:
    assert load_files({"a.yaml": "version: 1\n"}).rules == ()
    assert load_files({"a.yaml": "version: 1\nrules: []\n"}).rules == ()


def test_says_what_holds_no_policy(tmp_path: Path) -> None:
    assert refused(tmp_path / "nowhere") == f"there is no policy file or folder {tmp_path / 'nowhere'}"
    assert refused(tmp_path) == f"the folder {tmp_path} holds no policy file (*.yaml, *.yml)"
    written(tmp_path, {"prices.yaml": "version: 1\n", "a.test.yaml": "version: 1\n"})
    assert refused(tmp_path) == f"the folder {tmp_path} holds no policy file (*.yaml, *.yml)"
    assert refused(tmp_path / "prices.yaml") == f"{tmp_path / 'prices.yaml'} is no policy file, name its folder instead"
    assert refused(tmp_path / "a.test.yaml") == f"{tmp_path / 'a.test.yaml'} is no policy file, name its folder instead"
    with pytest.raises(PolicyUnreadable):
        load_files({"prices.yaml": ""})


def test_says_which_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nothing")
    assert refused(tmp_path) == f"the policy file {tmp_path / 'gone.yaml'} cannot be read: No such file or directory"


def test_enters_a_folder_once_however_it_is_linked(tmp_path: Path) -> None:
    written(tmp_path, {"a/one.yaml": ONE})
    (tmp_path / "a/loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "self").symlink_to("self")
    assert [rule.id for rule in load_policies(tmp_path).rules] == ["one"]


def test_follows_a_link_to_the_folder_itself(tmp_path: Path) -> None:
    written(tmp_path / "real", {"one.yaml": ONE})
    (tmp_path / "link").symlink_to("real", target_is_directory=True)
    assert str(load_policies(tmp_path / "link").rules[0].source) == f"{tmp_path / 'link'}/one.yaml:3"


def test_a_file_that_is_not_utf_8_is_a_problem_beside_the_others(tmp_path: Path) -> None:
    written(tmp_path, {"a.yaml": ONE.replace("5 USD", "5 EUR")})
    (tmp_path / "b.yaml").write_bytes(b"version: 1\n# caf\xe9\n")
    policies, problems = check_policies(tmp_path)
    assert policies is None
    assert [(problem.path.rpartition("/")[2], problem.line, problem.code) for problem in problems] == [
        ("a.yaml", 5, "other-currency"),
        ("b.yaml", 2, "not-utf-8"),
    ]
    (tmp_path / "a.yaml").unlink()
    assert [problem.code for problem in check_policies(tmp_path)[1]] == ["not-utf-8"]


def test_raises_every_problem_of_every_file_sorted() -> None:
    with pytest.raises(InvalidPolicy) as error:
        load_files({"b.yaml": ONE.replace("day", "dy"), "a.yaml": ONE.replace("5", "-5") + "extra: 1\n"})
    assert [str(problem) for problem in error.value.problems] == [
        "policies/a.yaml:5:12: `-5 USD` is negative",
        "policies/a.yaml:7:1: unknown key `extra`",
        _UNKNOWN_WINDOW,
    ]


def test_raises_for_a_folder_what_it_raises_for_texts(tmp_path: Path) -> None:
    with pytest.raises(InvalidPolicy) as error:
        load_policies(written(tmp_path, {"a.yaml": ONE.replace("5", "-5")}))
    assert str(error.value) == f"1 problem in the policy set\n{tmp_path}/a.yaml:5:12: `-5 USD` is negative"


def test_an_id_is_unique_over_all_files() -> None:
    _, problems = check_files({"a.yaml": TWO, "b.yaml": ONE, "c.yaml": TWO})
    assert [str(problem) for problem in problems] == ["policies/c.yaml:3:9: rule id `two` is taken by the rule at policies/a.yaml:3"]


@pytest.mark.parametrize("section", ["tiers: {a: [x]}", "labels: {team: {}}", "defaults: {unmatched: deny}"])
def test_a_section_stands_in_one_file_of_a_set(section: str) -> None:
    text = f"version: 1\n{section}\n"
    name = section.partition(":")[0]
    _, problems = check_files({"a.yaml": text, "b.yaml": text})
    assert [str(problem) for problem in problems] == [
        f"policies/b.yaml:2:1: `{name}` already stands in policies/a.yaml:2, it stands in one file of a set"
    ]


def test_tiers_of_one_file_are_known_to_rules_of_another() -> None:
    rule = ONE + "    match: {tier: economy}\n    at: {50%: downgrade to economy}\n"
    assert load_files({"a.yaml": rule, "b.yaml": TIERS}).rules[0].match[0].exact == {"economy"}
    assert [problem.code for problem in check_files({"a.yaml": rule})[1]] == ["unknown-tier"]


def test_does_not_blame_a_rule_for_tiers_that_could_not_be_read() -> None:
    rule = ONE + "    match: {tier: economy}\n"
    assert [problem.code for problem in check_files({"a.yaml": rule, "b.yaml": "version: 1\ntiers: [economy]\n"})[1]] == ["wrong-shape"]


def test_leaves_the_collector_as_it_was() -> None:
    assert gc.isenabled()
    load_files({"a.yaml": ONE})
    assert gc.isenabled()
    gc.disable()
    try:
        load_files({"a.yaml": ONE})
        assert not gc.isenabled()
    finally:
        gc.enable()


_FRAGMENTS = """\
version: 1
rules:
  - id: a
  - {id: b, kind: tier_restriction, deny: x}
    kind: spend_limit
    kind: token_cap
    limit: 5 USD
    limit: {a: 5 USD}
    limit: 5k tokens
    window: day
    per: team
    at: {80%: warn}
    match: {team: a, tier: {not: b}}
    match: &m {model: [a, 'b*']}
    except: [*m]
    from: 2026-01-01
    until: 2026-01-01
    mode: shadow
tiers: {b: [x, 'y*']}
labels: {team: {values: [a]}}
defaults: {timezone: Asia/Tokyo}
  -
x
[
\t
---
"""
_LINES = st.sampled_from(_FRAGMENTS.splitlines())


@settings(max_examples=200, deadline=None)
@given(st.lists(_LINES, max_size=12).map("\n".join) | st.text(max_size=40))
def test_any_text_is_a_set_or_problems(text: str) -> None:
    policies, problems = check_files({"a.yaml": text})
    assert (policies is None) == bool(problems)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=40))
def test_any_bytes_are_a_set_or_problems(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(data)
    policies, problems = check_policies(file)
    assert (policies is None) == bool(problems)


def test_reads_a_folder_that_may_not_be_listed_as_unreadable(tmp_path: Path) -> None:
    written(tmp_path, {"a.yaml": ONE, "locked/b.yaml": TWO})
    (tmp_path / "locked").chmod(0)
    try:
        if os.access(tmp_path / "locked", os.R_OK):  # root reads everything, and then there is nothing to refuse
            assert len(load_policies(tmp_path).rules) == 2
        else:
            assert refused(tmp_path) == f"the policy folder {tmp_path / 'locked'} cannot be read: Permission denied"
    finally:
        (tmp_path / "locked").chmod(0o755)
