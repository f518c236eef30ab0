"""How often what may be tried: the categories that are counted, and their limits as settings."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from cypher.settings import Limit, SettingsReader


class Category(StrEnum):
    """What is counted; its last words say whose budget it is."""

    LOGIN_NAME_ADDRESS = "login-name-address"
    LOGIN_NAME = "login-name"
    LOGIN_DEVICE = "login-device"  #: a known device, apart from its owner's name: strangers cannot use it up
    LOGIN_ADDRESS = "login-address"
    REGISTRATION_ADDRESS = "registration-address"
    REFRESH_ADDRESS = "refresh-address"
    RECOVERY_NAME = "recovery-name"
    RECOVERY_ADDRESS = "recovery-address"
    DEFAULT_ADDRESS = "default-address"

    @property
    def policy(self) -> str:
        """The name in answers: it does not tell which of the budgets of a login is used up."""
        return self.partition("-")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsConfig:
    """The limit of each category; None: off."""

    login_name_address: Limit | None = None
    login_name: Limit | None = None
    login_address: Limit | None = None
    registration_address: Limit | None = None
    refresh_address: Limit | None = None
    default_address: Limit | None = None

    def of(self, category: Category) -> Limit | None:
        """Return the limit of a category.

        A device is given what one person at one address is given. Mails to people are asked for as seldom as accounts
        are made: each costs somebody's attention.
        """
        return {
            Category.LOGIN_NAME_ADDRESS: self.login_name_address,
            Category.LOGIN_NAME: self.login_name,
            Category.LOGIN_DEVICE: self.login_name_address,
            Category.LOGIN_ADDRESS: self.login_address,
            Category.REGISTRATION_ADDRESS: self.registration_address,
            Category.REFRESH_ADDRESS: self.refresh_address,
            Category.RECOVERY_NAME: self.registration_address,
            Category.RECOVERY_ADDRESS: self.registration_address,
            Category.DEFAULT_ADDRESS: self.default_address,
        }[category]


def read_limits(read: SettingsReader) -> LimitsConfig:
    """Read every RATE_LIMIT_ setting."""
    return LimitsConfig(
        login_name_address=read.limit("RATE_LIMIT_LOGIN_NAME_ADDRESS", _per(10, 900)),
        login_name=read.limit("RATE_LIMIT_LOGIN_NAME", _per(100, 3600)),
        login_address=read.limit("RATE_LIMIT_LOGIN_ADDRESS", _per(30, 60)),
        registration_address=read.limit("RATE_LIMIT_REGISTRATION_ADDRESS", _per(5, 3600)),
        refresh_address=read.limit("RATE_LIMIT_REFRESH_ADDRESS", _per(60, 60)),
        default_address=read.limit("RATE_LIMIT_DEFAULT_ADDRESS", _per(600, 60)),
    )


def _per(hits: int, seconds: int) -> Limit:
    return Limit(hits=hits, window=timedelta(seconds=seconds))
