# SPDX-License-Identifier: Apache-2.0
"""`python -m kedit`."""

from __future__ import annotations

import sys

from kedit.cli import main

if __name__ == "__main__":
    sys.exit(main())
