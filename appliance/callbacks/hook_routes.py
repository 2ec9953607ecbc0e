"""The calls of the BBB API about web hooks."""

from __future__ import annotations

from functools import partial

from quart import Blueprint

from appliance.callbacks import hooks
from appliance.callbacks.deps import CallbackDeps
from appliance.tenants.signed_calls import SignedCalls


def make_hook_blueprint(deps: CallbackDeps, calls: SignedCalls) -> Blueprint:
    """Return hooks/create, hooks/list and hooks/destroy; errors are left to the application."""
    blueprint = Blueprint("hooks", __name__)
    calls.add_xml(blueprint, "hooks/create", partial(hooks.create_hook, deps))
    calls.add_xml(blueprint, "hooks/list", partial(hooks.list_hooks, deps))
    calls.add_xml(blueprint, "hooks/destroy", partial(hooks.destroy_hook, deps))
    return blueprint
