"""Looks at an installation as an operator would who knows all of it, and says what is wrong and what to do.

It writes nothing anywhere and shows no secret.
"""

from cypher.doctor.examination import Report, examine
from cypher.doctor.findings import Level, Line
from cypher.doctor.patient import Patient

__all__ = ["Level", "Line", "Patient", "Report", "examine"]
