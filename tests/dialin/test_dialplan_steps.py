"""Which calls are looked up, and what follows a wrong PIN."""

from __future__ import annotations

import pytest

from appliance.dialin.caller import read_call
from appliance.dialin.dialplan import (
    WRONG_PINS_PER_CALL,
    CallStep,
    GuessLimits,
    WrongPins,
    first_step,
    is_guessing,
    step_after_wrong_pin,
)

NUMBER = "49305550100"

# --- the context ---------------------------------------------------------------------------------

FORM = {"section": "dialplan", "Caller-Destination-Number": NUMBER}


@pytest.mark.parametrize(
    ("contexts", "step"),
    [
        ({}, CallStep.PROMPT),
        ({"Caller-Context": "from-trunk"}, CallStep.PROMPT),
        ({"Caller-Context": "from-trunk", "Hunt-Context": "from-trunk"}, CallStep.PROMPT),
        ({"Caller-Context": "", "Hunt-Context": " "}, CallStep.PROMPT),
        ({"Caller-Context": "public"}, CallStep.NOT_FOUND),
        ({"Hunt-Context": "public"}, CallStep.NOT_FOUND),
        # The context that is searched counts, for instance that of execute_extension.
        ({"Caller-Context": "from-trunk", "Hunt-Context": "default"}, CallStep.NOT_FOUND),
        ({"Caller-Context": "default", "Hunt-Context": "from-trunk"}, CallStep.PROMPT),
    ],
)
def test_call_in_another_context_is_not_found(contexts: dict[str, str], step: CallStep) -> None:
    call = read_call({**FORM, **contexts})

    assert call is not None
    assert first_step(call, "from-trunk") is step


# --- wrong PINs ----------------------------------------------------------------------------------

LIMITS = GuessLimits(per_number=30, per_gateway=600)


@pytest.mark.parametrize(
    ("wrong", "step", "guessing"),
    [
        (WrongPins(1, 1, 1), CallStep.REPROMPT, False),
        (WrongPins(WRONG_PINS_PER_CALL - 1, 30, 600), CallStep.REPROMPT, False),
        (WrongPins(WRONG_PINS_PER_CALL, 3, 3), CallStep.REFUSE, False),
        (WrongPins(1, 31, 31), CallStep.REFUSE, True),
        (WrongPins(1, 1, 601), CallStep.REPROMPT, True),
        (WrongPins(0, 0, 601), CallStep.REPROMPT, True),
    ],
)
def test_wrong_pins_end_the_call_or_are_delayed(
    wrong: WrongPins, step: CallStep, guessing: bool
) -> None:
    assert step_after_wrong_pin(wrong, LIMITS) is step
    assert is_guessing(wrong, LIMITS) == guessing


def test_wrong_pins_are_not_delayed_without_limits() -> None:
    wrong, limits = WrongPins(1, 10_000, 10_000), GuessLimits(0, 0)

    assert not is_guessing(wrong, limits)
    assert step_after_wrong_pin(wrong, limits) is CallStep.REPROMPT
