"""`python -m benchmarks.hostile --examples N [--vendor V] [--seed S]`: phones full of hostile texts.

Each is made and read back, by all cores. The first that does not hold exactly its texts ends the run with
status 1.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.hostile import Broken, try_phones

_AT_ONCE = 5_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1_000_000, help="for each vendor")
    parser.add_argument("--vendor", choices=("yealink", "polycom"), help="without it both")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    for vendor in [options.vendor] if options.vendor else ["yealink", "polycom"]:
        began, seeds = time.monotonic(), range(options.seed, options.seed + -(-options.examples // _AT_ONCE))
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            for done, broken in enumerate(pool.map(run, [vendor] * len(seeds), seeds), 1):
                if broken:
                    print(f"\n{vendor}, seed {seeds[done - 1]}: {broken}")
                    pool.shutdown(cancel_futures=True)
                    return 1
                rate = done * _AT_ONCE / (time.monotonic() - began)
                print(f"\r{vendor}: {done * _AT_ONCE:,} phones, {rate:,.0f}/s", end="", flush=True)
        print(f", seeds {seeds[0]} to {seeds[-1]}: each held exactly its texts")
    return 0


def run(vendor: str, seed: int) -> str | None:
    """The first that is broken, of `_AT_ONCE`."""
    try:
        try_phones(vendor, seed, _AT_ONCE)
    except Broken as broken:
        return str(broken)
    return None


if __name__ == "__main__":
    sys.exit(main())
