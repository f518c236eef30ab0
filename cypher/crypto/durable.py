"""Files and directories that outlive a crash and a loss of power."""

import os
from contextlib import suppress
from pathlib import Path


def make_directory(path: Path, mode: int) -> None:
    """Make a directory, and with ordinary modes those above it; leave one that is there as it is."""
    if path.is_dir():
        return
    if not path.parent.is_dir():
        make_directory(path.parent, 0o755)
    with suppress(FileExistsError):
        path.mkdir(mode=mode)
    parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def replace_file(directory: int, name: str, data: bytes) -> None:
    """Put `data` in the place of the file `name`: at any moment either the old or the new one is there, whole.

    The caller holds a lock and an open descriptor of the directory. The new file has mode 0600.
    """
    temporary = f"{name}.new"
    # One may be left from a crash; nobody reads it.
    with suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(temporary, flags, 0o600, dir_fd=directory)
    try:
        with open(file, "wb") as opened:
            _give_to_owner(file, os.fstat(directory))
            opened.write(data)
            opened.flush()
            os.fsync(file)
        os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise
    os.fsync(directory)


def remove_file(directory: int, name: str) -> None:
    """Take the file `name` away, and what a crash in `replace_file` may have left of it."""
    for each in (f"{name}.new", name):
        with suppress(FileNotFoundError):
            os.unlink(each, dir_fd=directory)
    os.fsync(directory)


def _give_to_owner(file: int, directory: os.stat_result) -> None:
    """Let what root writes for the service stay readable for the service's user."""
    os.fchmod(file, 0o600)
    if os.geteuid() == 0 and directory.st_uid != 0:
        os.fchown(file, directory.st_uid, directory.st_gid)
