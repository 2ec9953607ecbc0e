"""What an import decides about publishing: users' changes win."""

from __future__ import annotations

import pytest

from appliance.recordings.imports.merge import ImportRules, published_after_import, state_of
from appliance.recordings.recording import Recording
from tests.doubles.recordings import make_recording

DEFAULT, UNPUBLISHED = ImportRules(), ImportRules(unpublished=True)


def known(*, published: bool, by_user: bool, state: str = "published") -> Recording:
    return make_recording(published=published, publish_updated=by_user, state=state)


@pytest.mark.parametrize(
    ("before", "incoming", "rules", "published"),
    [
        (None, True, DEFAULT, True),
        (None, False, DEFAULT, False),
        (None, True, UNPUBLISHED, False),
        (known(published=False, by_user=True), True, DEFAULT, False),
        (known(published=True, by_user=True), False, UNPUBLISHED, True),
        (known(published=False, by_user=False), True, DEFAULT, True),
        (known(published=True, by_user=False), True, UNPUBLISHED, False),
        (known(published=False, by_user=True, state="deleted"), True, DEFAULT, True),
    ],
)
def test_users_decision_is_kept(
    before: Recording | None, incoming: bool, rules: ImportRules, published: bool
) -> None:
    found = published_after_import(before, make_recording(published=incoming), rules)
    assert found is published


def test_state_says_whether_it_is_published() -> None:
    assert (state_of(True), state_of(False)) == ("published", "unpublished")
