"""The page of measurements says where its tables were measured, and is not written where it has no place for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import page
from edge.config import VisionConfig
from edge.service.versions import About

MARKS = "# Page\n\n<!-- generated: speed -->\n<!-- end: speed -->\n\nMore.\n"


def test_a_table_is_put_between_its_marks_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(MARKS, encoding="utf-8")
    for ms in ("1.0", "2.0"):
        page.write("speed", ("step", "ms"), [["ours", ms]], path)
    text = path.read_text(encoding="utf-8")
    assert "| step | ms |\n| --- | --- |\n| ours | 2.0 |" in text
    assert "1.0 |" not in text
    assert text.startswith("# Page")
    assert text.endswith("More.\n")
    about = About.of(VisionConfig())
    assert all(each in text for each in (about.eye_model, about.face_model, about.runtime))


def test_a_page_without_the_marks_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("# Page\n", encoding="utf-8")
    with pytest.raises(ValueError, match="speed"):
        page.write("speed", ("step",), [], path)
    assert path.read_text(encoding="utf-8") == "# Page\n"


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("processor : 0\nmodel name\t: Some CPU @ 2 GHz\n", "Some CPU @ 2 GHz"),
        ("processor : 0\nModel\t\t: Raspberry Pi 4 Model B\n", "Raspberry Pi 4 Model B"),
        ("processor : 0\n", "an unnamed processor"),
    ],
)
def test_the_processor_is_named_as_the_kernel_names_it(told: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(told, encoding="utf-8")
    assert page.processor(path) == name
    assert page.processor(tmp_path / "none") == "an unnamed processor"


def test_the_tables_of_the_page_are_of_the_shipped_eye_model() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    for name in ("ratios", "roofline"):
        part = text.partition(f"<!-- generated: {name} -->")[2].partition("<!-- end")[0]
        assert About.of(VisionConfig()).eye_model in part, f"measure {name} again, with --write"
