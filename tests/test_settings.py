"""Five sources of settings, the stronger over the weaker, and nothing taken that cannot be used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from iqcli.errors import IqError
from iqcli.settings import DEFAULT, FILE_BYTES, NAMES, load, load_with_origins, share


class Sources:
    """A person's config, a `.iq.toml` above the photos, and an environment."""

    def __init__(self, root: Path) -> None:
        self.config, self.beside = root / "config.toml", root / "photos" / ".iq.toml"
        self.start = root / "photos" / "2024" / "may"
        self.start.mkdir(parents=True)
        self.config.write_text("")
        self.environ = {"IQ_CONFIG": str(self.config)}

    def load(self, **flags: object) -> object:
        return load(flags, self.start, self.environ)


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(tmp_path)


def test_the_stronger_source_wins(sources: Sources) -> None:
    def chosen(**flags: object) -> str:
        return load(flags, sources.start, sources.environ).format

    assert chosen() == "table"
    sources.config.write_text('format = "csv"')
    assert chosen() == "csv"
    sources.beside.write_text('format = "json"')
    assert chosen() == "json"
    sources.environ["IQ_FORMAT"] = "jsonl"
    assert chosen() == "jsonl"
    assert chosen(format=None) == "jsonl"
    assert chosen(format="paths") == "paths"


def test_the_nearest_file_counts_alone(sources: Sources) -> None:
    sources.beside.write_text('max_reject = "10%"')
    (sources.start / ".iq.toml").write_text('format = "csv"')
    found = load({}, sources.start, sources.environ)
    assert (found.format, found.max_reject) == ("csv", 0.5)


@pytest.mark.parametrize(
    ("own", "beside", "holds"),
    [
        ("", "90%", 0.5),
        ("", "50.1%", 0.5),
        ("", "10%", 0.1),
        ("", "0%", 0.0),
        ('max_reject = "20%"', "50%", 0.2),
        ('max_reject = "100%"', "90%", 0.9),
    ],
)
def test_a_file_beside_photos_lowers_the_guard_and_never_raises_it(
    sources: Sources, own: str, beside: str, holds: float
) -> None:
    sources.config.write_text(own)
    sources.beside.write_text(f'max_reject = "{beside}"')
    found, origins = load_with_origins({}, sources.start, sources.environ)
    assert found.max_reject == holds
    held = share(beside) > holds
    weaker = str(sources.config) if own else DEFAULT
    says = f"{weaker}, not raised to {beside} by {sources.beside}"
    assert origins["max_reject"] == (says if held else str(sources.beside))
    assert load({"max_reject": "100%"}, sources.start, sources.environ).max_reject == 1.0


@pytest.mark.parametrize(
    "line",
    [
        'cache_dir = "/tmp/x"',
        'state_dir = "/tmp/x"',
        'data_dir = "/tmp/x"',
        'model = "x.safetensors"',
        'device = "cpu"',
        "jobs = 1",
        "batch_size = 1",
        "max_megapixels = 1",
    ],
)
def test_photos_of_a_stranger_choose_no_path_and_no_weights(sources: Sources, line: str) -> None:
    sources.beside.write_text(line)
    with pytest.raises(IqError, match="may only stand in your own config; remove that line"):
        sources.load()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("jobs = true", "give a whole number"),
        ("jobs = 1.5", "give a whole number"),
        ("jobs = 1000", "give a number from 0 to 256"),
        ("jobs = []", "give a whole number"),
        ("max_megapixels = true", "give a number"),
        ("max_megapixels = nan", "give a number from"),
        ("max_megapixels = [1]", "give a number"),
        ("max_reject = true", "give a share from 0% to 100%"),
        ('max_reject = "101%"', 'give a share from 0% to 100%, as "20%"'),
        ("max_reject = 0.5", 'a share needs its %, give "50%"'),
        ("max_reject = 1", 'a share needs its %, give "100%"'),
        ("worst = 0.2", 'a share needs its %, give "20%"'),
        ("worst = -1", "give a number from 0 to 1000000"),
        ('worst = "120%"', "give how many, as 3, or a share, as 20%"),
        ('promise = "5"', 'a share needs its %, give "5%"'),
        ("below = 0", "give a number from 1 to 10"),
        ('below = "low"', "give a number"),
        ("keep = 0", "give a number from 1 to 1000000"),
        ("keep = 0.2", 'a share needs its %, give "20%"'),
        ("keep = true", "give how many, as 3, or a share, as 20%"),
        ('keep = "0%"', "give how many, as 3, or a share, as 20%"),
        ('keep = "120%"', "give how many, as 3, or a share, as 20%"),
        ('per = "hour"', "give one of burst, scene, day, folder, all"),
        ("margin = -0.1", "give a number from 0 to 9"),
        ("margin = nan", "give a number from 0 to 9"),
        ('xmp_profile = "Lightroom"', "give one of generic, lightroom, digikam"),
        ("cache_dir = 3", "give a folder"),
        ('cache_dir = ""', "give a folder"),
        ('cache_dir = "~nobody-of-that-name/x"', "there is no such user"),
        ("model = 3", "give a model's name or file"),
        ("device = 1", "give one of auto, cpu, cuda, mps"),
        ('device = ["cpu"]', "give one of auto, cpu, cuda, mps"),
        ("exclude = 3", 'give patterns, as ["*.png", "drafts/"]'),
        ("exclude = [3]", 'give patterns, as ["*.png", "drafts/"]'),
        ('exclude = ["*.png", "!"]', "'!' is no pattern as in .gitignore"),
    ],
)
def test_a_value_of_the_wrong_kind(sources: Sources, line: str, says: str) -> None:
    sources.config.write_text(line)
    with pytest.raises(IqError, match=re.escape(says)) as told:
        sources.load()
    assert str(told.value).startswith(f"{sources.config}: {line.split()[0]} is ")


@pytest.mark.parametrize(
    "line",
    [
        f"keep = 0x{'f' * 9000}",
        f"keep = '{'a' * 9000}'",
        f"per = [{'[],' * 9000}]",
        f"{'a' * 9000} = 1",
        "cache_dir = '/'",
    ],
    ids=["number", "text", "list", "name", "not its own"],
)
def test_what_lies_beside_photos_is_told_in_a_few_words(sources: Sources, line: str) -> None:
    sources.beside.write_text(line)
    with pytest.raises(IqError) as told:
        sources.load()
    assert len(str(told.value)) < len(str(sources.beside)) + 120


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe",
        b"= 1",
        b"format = 'csv'\nformat = 'json'",
        b"format = " + b"[" * 100_000,
        b"#" * (FILE_BYTES + 1),
    ],
    ids=["bytes", "no key", "twice", "deep", "large"],
)
def test_a_file_that_is_no_toml(sources: Sources, data: bytes) -> None:
    sources.beside.write_bytes(data)
    with pytest.raises(IqError, match=r"cannot read the settings in .*; mend or remove it"):
        sources.load()


def test_good_values(sources: Sources) -> None:
    sources.config.write_text(
        'max_reject = "30%"\nbatch_size = "auto"\ncache_dir = "~/iq"\njobs = 3'
    )
    found = load({}, sources.start, sources.environ)
    assert (found.max_reject, found.batch_size, found.workers) == (0.3, 0, 3)
    assert found.cache_dir == Path.home() / "iq"
    assert load({"jobs": 0}, sources.start, sources.environ).workers in range(1, 17)


def test_patterns_of_all_sources_are_joined(sources: Sources) -> None:
    sources.config.write_text('exclude = ["a", "!b"]')
    sources.beside.write_text('exclude = ["c"]\nformat = "csv"')
    sources.environ["IQ_EXCLUDE"] = "d\ne"
    found, origins = load_with_origins(
        {"exclude": ["f"], "format": "json"}, sources.start, sources.environ
    )
    assert found.exclude == ("a", "!b", "c", "d", "e", "f")
    parts = f"{sources.config}, {sources.beside}, IQ_EXCLUDE in the environment, --exclude"
    assert origins["exclude"] == parts
    assert (found.format, load({}, None, {"IQ_CONFIG": str(sources.config)}).exclude) == (
        "json",
        ("a", "!b"),
    )


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("!private/", "'!private/' would lift what you exclude"),
        ("*a*a*a*a*a*b", "'*a*a*a*a*a*b' has more than 4 *"),
    ],
)
def test_patterns_beside_photos_only_narrow_and_are_quick(
    sources: Sources, pattern: str, why: str
) -> None:
    sources.beside.write_text(f'exclude = ["*.png", "{pattern}"]')
    with pytest.raises(IqError, match=re.escape(f": exclude: {why}; remove that pattern")):
        sources.load()
    sources.beside.unlink()
    sources.config.write_text(f'exclude = ["*.png", "{pattern}"]')
    assert sources.load().exclude == ("*.png", pattern)  # type: ignore[attr-defined]


def test_the_rule_of_a_folder(sources: Sources) -> None:
    sources.beside.write_text(
        'keep = 3\nper = "burst"\nmargin = 0.25\nxmp_profile = "digikam"\nworst = 20'
    )
    found = load({}, sources.start, sources.environ)
    assert (found.keep, found.per, found.margin, found.worst) == ("3", "burst", 0.25, "20")
    assert found.xmp_profile == "digikam"
    sources.environ |= {"IQ_KEEP": "20%", "IQ_MARGIN": "0"}
    found = load({}, sources.start, sources.environ)
    assert (found.keep, found.per, found.margin) == ("20%", "burst", 0)


def test_a_stronger_rule_voids_the_weaker_one(sources: Sources) -> None:
    """`worst` in a config and `below` beside the photos are not one rule of two parts."""
    sources.config.write_text('worst = "20%"\nkeep = 2\nper = "day"')
    sources.beside.write_text("below = 4")
    found, origins = load_with_origins({}, sources.start, sources.environ)
    assert (found.below, found.worst, found.keep, found.per) == (4, None, None, "day")
    assert (origins["worst"], origins["keep"]) == (DEFAULT, DEFAULT)


def test_where_each_value_comes_from(sources: Sources) -> None:
    sources.config.write_text('jobs = 2\nmodel = "niqe"\nformat = "csv"')
    sources.beside.write_text('format = "json"\nkeep = 2')
    sources.environ["IQ_BATCH_SIZE"] = "8"
    found, origins = load_with_origins({"jobs": 3}, sources.start, sources.environ)
    assert origins == dict.fromkeys(NAMES, DEFAULT) | {
        "jobs": "--jobs",
        "model": str(sources.config),
        "format": str(sources.beside),
        "keep": str(sources.beside),
        "batch_size": "IQ_BATCH_SIZE in the environment",
    }
    assert (found.jobs, found.model, found.format, found.batch_size) == (3, "niqe", "json", 8)


def test_an_empty_variable_is_not_set(sources: Sources) -> None:
    sources.environ |= {"IQ_JOBS": "", "IQ_FORMAT": ""}
    assert load({}, sources.start, sources.environ).jobs == 0


@pytest.mark.parametrize(
    ("text", "value"), [("20%", 0.2), ("0%", 0), ("0.5%", 0.005), ("100%", 1), (" 5 %", 0.05)]
)
def test_shares(text: str, value: float) -> None:
    assert share(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "%", "20", "0.2", "101%", "-1%", "nan", "nan%", "20%%", "a"])
def test_no_shares(text: str) -> None:
    with pytest.raises(ValueError):
        share(text)


def test_a_removed_setting_says_what_to_do_instead(sources: Sources) -> None:
    sources.environ["IQ_WEIGHTS_TABLE"] = "rows.toml"
    with pytest.raises(IqError, match=r"removed; unset it, .* `iq models pull NAME --from FILE`"):
        sources.load()
    del sources.environ["IQ_WEIGHTS_TABLE"]
    sources.config.write_text('weights_table = "rows.toml"')
    with pytest.raises(IqError, match=r"removed; delete that line, .* `iq models pull NAME"):
        sources.load()
