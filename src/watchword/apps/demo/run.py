"""Run the demo: set the stage, play the story beside it, leave nothing running."""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

from watchword.apps.demo.acts import Act
from watchword.apps.demo.stage import Stage
from watchword.apps.demo.story import Story


async def play(tell: Callable[[Act], None]) -> list[Act]:
    """Play the whole demo in a temporary directory; return its acts.

    :param tell: is called with each act as it ends.
    """
    acts: list[Act] = []

    def note(act: Act) -> None:
        acts.append(act)
        tell(act)

    with tempfile.TemporaryDirectory(prefix="watchword-demo-") as directory:
        stage = Stage.in_directory(Path(directory))
        try:
            await stage.set_up()
            story = Story(stage, asyncio.get_running_loop(), note)
            await asyncio.to_thread(story.play)
        finally:
            await stage.tear_down()
    return acts
