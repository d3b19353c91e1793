"""Does what the words in the control file of a run ask for: on, off, or a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.base.guard import contain_errors

if TYPE_CHECKING:
    from autoinstr.agent.session import Session
    from autoinstr.agent.window.follower import WindowFollower

WINDOW = b"window"  # the words begin with it: recording/window_words.py


class ControlWords:
    """Follows the control file. No method raises an Exception."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._follower: WindowFollower | None = None  # imported when the first window is asked for

    @contain_errors("switching by autoinstr ctl")
    def follow(self, content: bytes, is_stale: bool) -> None:
        """Do what the words ask for, which were written or touched.

        `is_stale`: they were there long before this process looked, so a window in them has no
        command any more."""
        if content.startswith(WINDOW):
            if not is_stale:
                self._get_follower().follow(content)
            return
        if self._follower is not None:
            self._follower.finish("autoinstr ctl has ended the window")
        if content == b"on":
            self._session.switch_on("autoinstr ctl on")
        else:
            self._session.switch_off("autoinstr ctl off")

    @contain_errors("following a window")
    def check(self) -> None:
        """Do what is due: called several times a second."""
        if self._follower is not None:
            self._follower.check()

    @contain_errors("ending a window after a fork")
    def reset_in_child(self) -> None:
        """After fork: the child looks at the control file anew."""
        if self._follower is not None:
            self._follower.reset_in_child()

    def _get_follower(self) -> WindowFollower:
        if self._follower is None:
            from autoinstr.agent.window.follower import WindowFollower

            self._follower = WindowFollower(self._session)
        return self._follower
