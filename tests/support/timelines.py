"""Recordings for timeline tests, made by hypothesis, and what a timeline must show of them."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.support.report_fakes import Event

# What has broken a viewer or a parser before.
NAMES = st.one_of(
    st.sampled_from(
        [
            "",
            "a",
            "a.b",
            "layers.0",
            'say "hi"',
            "</script><b>",
            "two\nlines\r\t",
            "\u202eright\u2066 to left",
            "é漢字🧠",
            "nul\0",
            "\ud800 half",
            "x" * 4096,
            "'`${7}",
            "back\\slash\\n",
        ]
    ),
    st.text(max_size=8),
)
THREADS, DOMAINS = st.sampled_from([1, 2, 3]), st.sampled_from(["Module", "vllm", "user"])


@st.composite
def called(draw: st.DrawFn) -> list[Event]:
    """Draw nested calls of several threads, with recursion.

    A call may begin exactly where the call before it ended.
    """
    events: list[Event] = []
    for thread in draw(st.sets(THREADS, min_size=1)):
        now = draw(st.integers(1, 50))

        def call(depth: int, thread: int = thread) -> None:
            nonlocal now
            at, start = len(events), now
            events.append(Event(start, start))
            now += draw(st.one_of(st.integers(1, 5), st.integers(1, 10**9)))
            for _ in range(draw(st.integers(0, 2)) if depth < 4 else 0):
                call(depth + 1)
            now += draw(st.integers(0, 3))
            events[at] = Event(start, now, draw(NAMES), thread=thread, domain=draw(DOMAINS))

        for _ in range(draw(st.integers(1, 3))):
            call(0)
    return events


@st.composite
def anyhow(draw: st.DrawFn) -> list[Event]:
    """Draw ranges that overlap in any way, some without a length, some without an end."""
    one = st.builds(
        lambda start, length, path, thread, domain: Event(
            start, None if length is None else start + length, path, thread=thread, domain=domain
        ),
        st.integers(1, 60),
        st.one_of(st.integers(0, 5), st.integers(0, 10**6), st.none()),
        NAMES,
        THREADS,
        DOMAINS,
    )
    return draw(st.lists(one, max_size=25))


@st.composite
def killed(draw: st.DrawFn) -> list[Event]:
    """Draw the calls of a process that was killed: the calls that were running have no end."""
    events = draw(called())
    moment = draw(st.sampled_from([event.start for event in events]))
    return [
        event._replace(end=None) if event.end is None or event.end > moment else event
        for event in events
        if event.start <= moment
    ]


RECORDINGS = st.one_of(called(), anyhow(), killed())
