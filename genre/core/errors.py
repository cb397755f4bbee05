"""The exceptions of this project.

Messages say which file or parameter, what was found, what was expected and what to do.
`InputError` and its subclasses are for the user to fix: a step exits with code 2 and is never
retried. Other errors may be temporary.
"""


class GenreError(Exception):
    """Base class of all exceptions of this project."""


class InputError(GenreError):
    """Bad input or a bad parameter; never retried."""


class ParameterError(InputError):
    """A wrong value in `params.yaml` or of an option."""


class AudioError(InputError):
    """An audio file cannot be used; the message is the reason."""


class CollectionError(InputError):
    """A change of the collection was refused; nothing was written."""


class UnexpectedError(GenreError):
    """An unexpected exception as one line (see `genre.core.unexpected`)."""


class DiskFullError(GenreError):
    """A file cannot be written: the disk is full, or a quota or size limit is reached."""


class RegistryError(GenreError):
    """The MLflow store cannot be reached, or lacks a model or version."""


class UnusableStoreError(RegistryError, InputError):
    """The MLflow store is damaged or read-only; never retried."""
