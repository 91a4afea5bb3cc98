"""``interlock notifications``: the channels that messages to people go to."""

from typing import Annotated

import typer

from interlock.core.administration import ChannelView, ListChannels, TestChannel
from interlock.surfaces.cli.answers import JsonOption, ask, show_json, show_table
from interlock.surfaces.cli.receipts import show_done

app = typer.Typer(name="notifications", help="Channels that messages to people go to.", no_args_is_help=True)


@app.command("list")
def list_channels(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the channels and how they do."""
    channels = ask(context, ListChannels())
    if as_json:
        show_json(channels)
        return
    columns = ("CHANNEL", "KIND", "EVENTS", "WAITING", "SENT", "FAILED", "GIVEN UP", "PROBLEM")
    show_table(columns, map(_row, channels), "The settings name no channel: see [notifications.NAME].")


@app.command("test")
def try_channel(
    context: typer.Context,
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="Its name in the settings.")],
    as_json: JsonOption = False,
) -> None:
    """Send a test message now. Exit status 1: the channel did not take it, and the error says why."""
    done = ask(context, TestChannel(channel))
    if as_json:
        show_json(done)
    else:
        show_done(done)


def _row(view: ChannelView) -> tuple[str, ...]:
    counts = (str(count) for count in (view.waiting, view.sent, view.failed, view.given_up))
    return view.name, view.kind, ", ".join(view.events), *counts, view.problem or "-"
