"""What stewards did about findings: who sees to one, what was said of it, until when it waits, that it is true.

Kept in a database of its own, by the finding's identity, so that no build and no publication loses any of it: SQLite
in the data home, or PostgreSQL where `RUAM_FOLLOWUP` names one. One table holds what was done and is only ever added
to; how a finding stands is told from it.
"""

from ruam.followup.actions import NOBODY, Action, By, Done, Finding, Followup, State, standing_of

__all__ = ["NOBODY", "Action", "By", "Done", "Finding", "Followup", "State", "standing_of"]
