# SPDX-License-Identifier: Apache-2.0
"""What a profile is: recorded on a board, summarised, compared with the plan and with another one. `report`
draws it.
"""
