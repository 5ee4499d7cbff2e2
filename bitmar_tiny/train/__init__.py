# SPDX-License-Identifier: Apache-2.0
"""Training. Its threads must not hold up other work, nor each other where a processor is shared: this comes
before PyTorch is loaded, which reads it once.
"""

import os

#: How often a thread of GNU OpenMP looks for work before it sleeps, about 0.1 ms. As it comes it looks for
#: many milliseconds; with other programs at work it then takes the processor from the thread it waits for.
SPINS = "2000"
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
