"""What is logged, and how it is written."""

import sys
from dataclasses import dataclass
from typing import Literal

from cypher.settings import SettingsReader


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    level: Literal["debug", "info", "warning", "error"]
    format: Literal["human", "json"]


def read_log(read: SettingsReader) -> LogConfig:
    return LogConfig(
        level=read.choice("LOG_LEVEL", "info", ("debug", "info", "warning", "error")),
        format=read.choice("LOG_FORMAT", "human" if sys.stderr.isatty() else "json", ("human", "json")),
    )
