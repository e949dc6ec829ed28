"""The entry point of the command line: registers the commands, and turns errors into messages and exit codes."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys

import click

from monitor import __version__
from monitor.cli.commands.backtest import backtest
from monitor.cli.commands.bench import bench
from monitor.cli.commands.calibrate import calibrate, drift
from monitor.cli.commands.check import check, completion
from monitor.cli.commands.devices import devices
from monitor.cli.commands.evaluate import evaluate
from monitor.cli.commands.events import events
from monitor.cli.commands.export import export
from monitor.cli.commands.fleet import fleet
from monitor.cli.commands.guide import guide
from monitor.cli.commands.improve import improve
from monitor.cli.commands.integrations import integrations
from monitor.cli.commands.listen import live, replay
from monitor.cli.commands.model import model
from monitor.cli.commands.notify import acknowledge, mute, notify
from monitor.cli.commands.record import record
from monitor.cli.commands.reload import reload
from monitor.cli.commands.report import report
from monitor.cli.commands.scan import scan
from monitor.cli.commands.selftest import selftest
from monitor.cli.commands.setup import setup
from monitor.cli.commands.status import status
from monitor.cli.commands.train import demo, train
from monitor.cli.commands.trend import trend
from monitor.cli.commands.verdict import verdict
from monitor.cli.commands.web import web
from monitor.cli.environment import INSTALL_TORCH
from monitor.cli.logs import report_error, set_up_logs
from monitor.cli.output import say_usage_error
from monitor.core.errors import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK, MonitorError

# An installation that only listens may lack them (`monitor guide plant`).
TRAINING_LIBRARIES = ("torch", "torchaudio")
NO_TRAINING = (
    "PyTorch is not installed here: this command needs it. Listening, calibrating and looking back do not; train on "
    f"another computer, or install it: {INSTALL_TORCH}"
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="monitor")
def cli() -> None:
    """Learns the sound of a healthy machine, listens to the machine, and shows live how unusual its sound is.

    \b
    Examples:
      monitor demo                                      try it without microphone and recordings
      monitor train recordings/ --out runs/pump         learn from a folder of normal recordings
      monitor evaluate runs/pump/model.safetensors data/
      monitor live runs/pump/model.safetensors          listen to the microphone
      monitor replay runs/pump/model.safetensors today.wav
      monitor guide                                     the manual
    """


for _command in (
    train, evaluate, calibrate, demo, drift, live, replay, record, devices, bench, export, check, setup, status, reload,
    events, verdict, backtest, trend, report, improve, selftest, scan,
    integrations, notify, mute, acknowledge, web, fleet, model, completion, guide,
):  # fmt: skip
    cli.add_command(_command)


def main() -> None:
    """Runs the program. Every error is reported by a sentence on standard error and an exit code."""
    code = run(sys.argv[1:])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the command has ended: nothing is left to interrupt
    portaudio = sys.modules.get("monitor.sources.device.portaudio")
    if portaudio is not None and portaudio.anything_open():
        # A sound server that does not answer would block the interpreter's exit for minutes.
        _exit_at_once(code)
    if "TORCHELASTIC_RUN_ID" in os.environ:
        # Of a process of torchrun, threads of torch that are still connected to others could abort the exit.
        atexit.register(_exit_at_once, code)
    sys.exit(code)


def _exit_at_once(code: int) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def run(arguments: list[str]) -> int:
    """Runs one command, and returns its exit code."""
    set_up_logs()
    with contextlib.suppress(ValueError):  # signals can only be handled on the main thread
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = cli.main(arguments, prog_name="monitor", standalone_mode=False)
        return code if isinstance(code, int) else EXIT_OK
    except click.ClickException as error:
        say_usage_error(error)
        return error.exit_code
    except MonitorError as error:
        report_error(*error.messages)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except SystemExit as error:
        # Raised by shell completion, and by click if the reader of a pipe has ended, which is no failure.
        return int(error.code or 0) if "_MONITOR_COMPLETE" in os.environ else EXIT_OK
    except BrokenPipeError:  # `monitor … | head`: the reader of the pipe has ended, which is no failure
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as error:
        report_error(f"{error.filename or 'the output'}: {error.strerror or error}.")
        return EXIT_FAILURE
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name in TRAINING_LIBRARIES:
            report_error(NO_TRAINING)
            return EXIT_FAILURE
        if os.environ.get("MONITOR_DEBUG"):
            raise
        report_error(
            f"an unforeseen error, {type(error).__name__}: {str(error).rstrip('.')}. "
            "Run it again with MONITOR_DEBUG=1 in the environment to see where, and please report it."
        )
        return EXIT_FAILURE


def _interrupt(number: int, _frame: object) -> None:
    raise KeyboardInterrupt(number)  # Ctrl-C raises it without the number


if __name__ == "__main__":
    main()
