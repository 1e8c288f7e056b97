# SPDX-License-Identifier: Apache-2.0
"""What the commands of `kedit` do; one file a group, imported when a command of it is asked for."""
