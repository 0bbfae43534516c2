"""What ``make homeassistant`` reads and writes, without a Home Assistant."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.home_assistant.automations import PAGE, announcing, blueprints
from benchmarks.home_assistant.broker import subscriptions
from benchmarks.home_assistant.findings import counted, markdown, nothing
from benchmarks.home_assistant.installation import RELEASE

LOG = """1: Received SUBSCRIBE from home
1: \tevenkeel/van-7/state (QoS 1)
1: \tevenkeel/van-7/alert (QoS 0)
1: home 0 evenkeel/van-7/alert
2: \tevenkeel/van-7/alert (QoS 1)
2: \thomeassistant/device/+/config (QoS 0)
"""


def test_the_log_tells_each_qos_with_which_a_topic_was_subscribed() -> None:
    assert subscriptions(LOG, "evenkeel/") == {"evenkeel/van-7/state": {1}, "evenkeel/van-7/alert": {0, 1}}


def test_a_finding_names_what_there_should_not_be() -> None:
    assert nothing("repairs", []).passed
    found = nothing("repairs", ["one", "two"])
    assert not found.passed
    assert markdown([found, counted("triggers", 2, 3)]).splitlines()[-2:] == [
        "| repairs | none | one; two |",
        "| triggers | 3 | 2 |",
    ]


def test_the_automation_that_is_tried_is_the_shipped_one() -> None:
    path = Path(announcing("van_8")["use_blueprint"]["path"])
    assert path.name in {blueprint.name for blueprint in blueprints()}


def test_the_page_holds_what_was_measured_with_the_release_that_is_installed() -> None:
    text = PAGE.read_text(encoding="utf-8")
    measured = text.partition("<!-- generated: home assistant -->")[2].partition("<!-- end: home assistant -->")[0]
    assert RELEASE in measured
    assert len(re.findall(r"^\|", measured, re.MULTILINE)) > 10
