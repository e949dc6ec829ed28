"""Runs `monitor` with a checkpoint after every epoch, and a host that does not answer noticed soon.

Run like the program itself, also by torchrun: `quick_checkpoints.py train RECORDINGS …`.
"""

from __future__ import annotations

import datetime

from monitor.cli.main import main
from train.fitting import loop, process_group

if __name__ == "__main__":
    loop.CHECKPOINT_EVERY_S = 0.0
    process_group.LOST_AFTER = datetime.timedelta(seconds=20)
    main()
