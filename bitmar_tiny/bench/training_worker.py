# SPDX-License-Identifier: Apache-2.0
"""One side of ``bench.training``: takes training steps when it is told to. It runs on whichever checkout its
PYTHONPATH names, so it uses only what both have.

Arguments: preset, folder of the data, settings as JSON, threads (0: as PyTorch likes). It writes a line when
it is ready; then each line "N" that it reads is answered, after N steps, by a line of JSON: tokens, seconds,
processor (seconds of it) and losses.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def main(name: str, folder: str, settings: str, threads: str) -> None:
    from bitmar_tiny.arch.config import preset
    from bitmar_tiny.train.feed import Feeder
    from bitmar_tiny.train.order import order
    from bitmar_tiny.train.run import fitted
    from bitmar_tiny.train.threads import threads as on_threads
    from bitmar_tiny.train.trainer import Trainer

    asked = order(Path(folder), {}, config=preset(name), changes=json.loads(settings), resume=False)
    corpus = asked.corpus()
    cfg, tcfg = fitted(asked.config, asked.settings, corpus)
    kinds = ("batch_size", "max_len", "text_every", "session_every", "seed")
    mixture = corpus.mixture(**{kind: getattr(tcfg, kind) for kind in kinds})
    trainer = Trainer(cfg, tcfg)
    with on_threads(int(threads)), Feeder(mixture, tcfg) as feeder:
        print("ready", flush=True)
        for line in sys.stdin:
            tokens, losses, start, processor = 0, [], time.perf_counter(), time.process_time()
            for _ in range(int(line)):
                feeds = [feeder.next() for _ in range(tcfg.accumulation)]
                losses.append(trainer.advance(feeds)["lm"])
                tokens += sum(f.total for f in feeds)
            done = {"tokens": tokens, "losses": losses, "seconds": time.perf_counter() - start}
            print(json.dumps(done | {"processor": time.process_time() - processor}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
