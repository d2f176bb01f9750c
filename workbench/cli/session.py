"""A training at work in a terminal or a pipe: records, progress, checkpoints, signals.

Standard output gets the records and nothing else. Ctrl-C, SIGTERM and SIGHUP are heeded between two
spans of steps: the state is kept, and a line says how to go on. A later one ends it at once.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from shutil import get_terminal_size
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING

from workbench.errors import InputError, NotFiniteError

if TYPE_CHECKING:
    from workbench.api.experiments import Opened
    from workbench.core.progress import EpochRecord, Progress
    from workbench.core.runs import RunWriter
    from workbench.core.tensorboard import EventFile

REDRAWN_EVERY = 0.1
"""The seconds between two looks of the progress."""

STATUSES = {
    number: 128 + number
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if (number := getattr(signal, name, None)) is not None
}
"""The exit code that each signal leads to."""

GRACE = 1.0
"""The seconds in which several signals count as one: terminal and shell may each send theirs."""

PIPE_CLOSED = 141


@dataclass(frozen=True)
class Interval:
    """How often checkpoints are written: every so many epochs, or seconds."""

    epochs: int = 0
    seconds: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Interval:
        """Read `10` as epochs and `30s` as seconds.

        >>> Interval.parse("10"), Interval.parse("0.5s")
        (Interval(epochs=10, seconds=0.0), Interval(epochs=0, seconds=0.5))
        """
        if re.fullmatch(r"[1-9][0-9]{0,8}", text):
            return cls(epochs=int(text))
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?s", text):
            return cls(seconds=float(text[:-1]))
        raise InputError(
            f"checkpoint interval {text!r}; expected epochs, such as 10, or seconds, such as 30s"
        )


class Stopped(Exception):
    """A signal, or a reader that has gone, ends the training."""

    def __init__(self, status: int):
        self.status = status


class Session:
    """Runs a training to its end, or to where it is stopped.

    Parameters
    ----------
    writer : keeps the run, if it is kept.
    events : takes the records too, if TensorBoard is to show them.
    """

    def __init__(
        self,
        opened: Opened,
        writer: RunWriter | None,
        interval: Interval,
        events: EventFile | None = None,
    ):
        self._opened, self._training = opened, opened.training
        self._writer, self._interval, self._events = writer, interval, events
        self._status, self._asked = 0, 0.0
        self._shows = sys.stderr.isatty()
        self._begun = self._kept = monotonic()
        self._drawn = 0.0
        self._kept_epoch = self._training.progress.epoch
        self._first_step = self._training.progress.step
        self._last: EpochRecord | None = None
        self._lines: list[str] = []
        self._kept_best = self._training.best
        self._training.pause = self._pause
        self._training.epochs_a_pause = interval.epochs if writer else 0

    def run(self) -> None:
        """Train, and print a record an epoch.

        Raises
        ------
        Stopped
            If a signal came, or nobody reads the records.
        NotFiniteError
            If a number is not finite; the last checkpoint is of the state before that.
        """
        self._tell_memory()
        with self._signals():
            try:
                for record in self._training:
                    self._last = record
                    self._lines.append(f"{record.to_line()}\n")
                    if self._events is not None:
                        self._events.add(record)
            except NotFiniteError as error:
                if self._writer is None:
                    raise
                if self._opened.is_finite:
                    self._keep()
                raise NotFiniteError(
                    f"{error}; the last good checkpoint, of epoch {self._kept_epoch}, is in "
                    f"{self._writer.path}"
                ) from None
            finally:
                self._erase()
            self._keep_replicas()
            self._test()
            self._keep(finished=True)
        self._tell_end()

    def _flush(self) -> None:
        """Keep and print the records since the last time."""
        lines, self._lines = "".join(self._lines), []
        if self._writer is not None:
            self._writer.record(lines)
        if self._events is not None:
            self._events.flush()
        if lines and self._shows and sys.stdout.isatty():
            self._erase()
        try:
            sys.stdout.write(lines)
            sys.stdout.flush()
        except BrokenPipeError:
            self._status = self._status or PIPE_CLOSED
        except OSError:  # the terminal that a signal has taken away
            if not self._status:
                raise

    def _pause(self) -> None:
        """Between two spans of steps: show how far it is, keep the state if it is time, or end."""
        self._flush()
        if self._status:
            self._keep()
            raise Stopped(self._status)
        now = monotonic()
        if self._shows and now - self._drawn >= REDRAWN_EVERY:
            self._draw(now)
        if self._writer is not None and self._is_due(now):
            self._keep()

    def _is_due(self, now: float) -> bool:
        interval, progress = self._interval, self._training.progress
        if interval.epochs:
            rounds = progress.epoch // interval.epochs, self._kept_epoch // interval.epochs
            return rounds[0] > rounds[1] and not progress.batch
        return now - self._kept >= interval.seconds

    def _keep(self, *, finished: bool = False) -> None:
        if self._writer is not None:
            best = self._opened.best() if self._training.best is not self._kept_best else None
            self._writer.checkpoint(self._opened.state(), best=best, finished=finished)
            self._kept_best = self._training.best
            self._kept, self._kept_epoch = monotonic(), self._training.progress.epoch

    def _keep_replicas(self) -> None:
        if self._writer is not None and (records := self._opened.replica_records()):
            from workbench.core.progress import encode
            from workbench.core.runs import REPLICAS

            self._writer.keep(REPLICAS, "".join(f"{encode(record)}\n" for record in records))

    def _test(self) -> None:
        """Say, and keep, how the model that is kept does on the test part, if there is one."""
        if len(self._opened.test):
            self._keep()  # so that a test part that is refused loses no training
        run = None if self._writer is None else self._writer.path
        scores = self._opened.test_scores(run)
        if scores is None:
            return
        told = scores.to_json()
        words = [f"{scores.samples} samples", f"loss {scores.loss:.4g}"]
        if "accuracy" in told:
            words.append(f"accuracy {told['accuracy']:.4g}")
        print(f"workbench: test part: {', '.join(words)}", file=sys.stderr)
        if self._writer is not None:
            from workbench.core.progress import encode
            from workbench.core.runs import TEST

            self._writer.keep(TEST, f"{encode(told)}\n")

    # signals

    @contextmanager
    def _signals(self) -> Iterator[None]:
        heeded = [number for number in STATUSES if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, self._heed) for number in heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _heed(self, number: int, frame: FrameType | None) -> None:
        if self._status and monotonic() > self._asked + GRACE:
            raise Stopped(self._status)
        if not self._status:
            self._status, self._asked = STATUSES[signal.Signals(number)], monotonic()

    # standard error

    def _tell_memory(self) -> None:
        """Say on a terminal what the training is going to hold."""
        if self._shows:
            print(f"workbench: memory {self._training.memory}", file=sys.stderr)

    def _draw(self, now: float) -> None:
        self._drawn = now
        training = self._training
        step, epochs = training.progress.step, training.settings.epochs
        made, seconds = step - self._first_step, now - self._begun
        pace = pace_of(made, seconds, epochs * training.steps_per_epoch - step)
        line = progress_line(training.progress, epochs, pace, self._last)
        sys.stderr.write("\r\x1b[K" + line[: get_terminal_size().columns - 1])
        sys.stderr.flush()

    def _erase(self) -> None:
        if self._shows:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def _tell_end(self) -> None:
        """Say on a terminal what came out, and where it is."""
        if not self._shows or self._last is None:
            return
        progress, last = self._training.progress, self._last
        words = [f"{progress.epoch} epochs in {monotonic() - self._begun:.1f} s", *_figures(last)]
        if progress.best_epoch is not None:
            words.append(
                f"best validation loss {progress.best_loss:.4g} in epoch {progress.best_epoch}"
            )
        words.append(
            f"kept in {self._writer.path}"
            if self._writer is not None
            else "not kept, for want of --run DIRECTORY"
        )
        print(f"workbench: {'; '.join(words)}", file=sys.stderr)


def pace_of(made: int, seconds: float, rest: int) -> list[str]:
    """How fast steps are made and how long the rest takes; nothing before the first of them.

    >>> pace_of(4000, 2.0, 130_000), pace_of(0, 2.0, 130_000)
    (['2,000 steps/s', '1:05 left'], [])
    """
    if not made:
        return []
    minutes, left = divmod(round(rest * seconds / made), 60)
    return [f"{made / seconds:,.0f} steps/s", f"{minutes}:{left:02} left"]


def progress_line(
    progress: Progress, epochs: int, pace: Sequence[str], last: EpochRecord | None
) -> str:
    """How far a training is, how fast and how well.

    >>> from workbench.core.progress import EpochRecord, Progress
    >>> last = EpochRecord(25, 100, 0.5, 0.75, None, None, 0.1, 2.0)
    >>> progress_line(Progress(epoch=25, step=100), 50, ["2,000 steps/s", "1:05 left"], last)
    'epoch 25/50 ██████████░░░░░░░░░░ 2,000 steps/s 1:05 left loss 0.5 accuracy 0.75'
    """
    filled = 20 * progress.epoch // epochs
    bar = "█" * filled + "░" * (20 - filled)
    figures = () if last is None else _figures(last)
    return " ".join([f"epoch {progress.epoch}/{epochs} {bar}", *pace, *figures])


def _figures(record: EpochRecord) -> list[str]:
    figures = {
        "loss": record.loss,
        "accuracy": record.accuracy,
        "validation loss": record.validation_loss,
        "validation accuracy": record.validation_accuracy,
    }
    return [f"{name} {value:.4g}" for name, value in figures.items() if value is not None]
