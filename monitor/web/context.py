"""What all pages share: settings, the store, live values, who may do what, and threads for what takes time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from monitor.clips.access import ClipAccess
from monitor.config.schema import Config
from monitor.store.database import Store
from monitor.store.location import host_name, state_folder
from monitor.web.live_link import LiveLink, Values
from monitor.web.login.access import Access
from monitor.web.login.open_sockets import OpenSockets
from monitor.web.login.users import Role, User
from monitor.web.open_pages import OpenPages
from monitor.web.store_link import StoreLink

T = TypeVar("T")
THREADS = 6  # for the database, for sound and for passwords; fewer than the connections that a store has


class WebContext:
    """One for the process; handed to each page's `register`.

    Args:
        config: the settings in force.
        local: whether the page can be reached from this computer only.
    """

    def __init__(self, config: Config, *, local: bool) -> None:
        self.config = config
        self.folder: Path = state_folder(config)
        self.clips = ClipAccess(config)
        self.host = host_name(config)  # of the monitor whose live values are shown
        self.store = StoreLink(config)
        self.live_values = LiveLink(self.folder)
        self.access = Access(config.web, self.store, local=local)
        self.pages, self.sockets = OpenPages(self), OpenSockets()
        self.expects_live = True  # whether there ought to be live values; pages that know better set it
        self._begun: set[Future[Any]] = set()  # work that is being done
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="page")

    def live(self) -> dict[str, Values]:
        """The newest values of each stream of the running monitor, by its name; empty while it cannot be asked."""
        return self.live_values.streams

    async def run(self, work: Callable[[], T]) -> T:
        """The result of work that takes time (database, files, sound), done on a thread, not on the event loop."""
        begun = self._threads.submit(work)
        self._begun.add(begun)
        begun.add_done_callback(self._begun.discard)
        return await asyncio.wrap_future(begun)

    async def read(self, work: Callable[[Store], T]) -> T:
        """What is read from the store, on a thread.

        Raises:
            StoreError: if it cannot be read; a page then shows the sentence, and tries again.
        """
        return await self.run(lambda: self.store.use(work))

    async def act(self, user: User, work: Callable[[Store, str], T], *, needs: Role = "operator") -> T:
        """Changes something for a user. All actions of all pages go through here, and through nothing else.

        Args:
            user: who acts, as `page_frame` or `user_of` gives them. That their login has not ended meanwhile, and their
                present role, are looked up now.
            work: called with the store and the name for the audit trail, on a thread.
            needs: the role that the action needs.

        Raises:
            Refused: if the user may not do it.
            StoreError: if the store cannot be written.
        """

        def checked(store: Store) -> T:
            self.access.require(store, user, needs)
            return work(store, user.name)

        return await self.run(lambda: self.store.use(checked))

    def start(self) -> None:
        """Begins to ask for live values."""
        self.live_values.start()

    def close(self) -> bool:
        """Ends all threads without waiting for them; returns whether none of them is still at work."""
        self.live_values.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.store.close()
        self.clips.close()
        return not any(one.running() for one in list(self._begun))
