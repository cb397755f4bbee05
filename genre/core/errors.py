"""The errors that the pipeline raises on purpose.

Each message says which file or parameter, what was found, what was expected and what to do.
`InputError` and its children are the caller's to mend: a step that meets one ends with exit
code 2 and is never tried again. Anything else may pass when tried again.
"""


class GenreError(Exception):
    """Base class of every error raised on purpose."""


class InputError(GenreError):
    """Bad input or a bad parameter: trying again changes nothing."""


class ParameterError(InputError):
    """A value in `params.yaml`, or an option, is not what was expected."""


class AudioError(InputError):
    """One audio file cannot be used; the message is the reason."""


class CollectionError(InputError):
    """A change of the collection is refused; nothing was written."""


class UnforeseenError(GenreError):
    """An unexpected exception, in one line (see `genre.core.unexpected`)."""


class NoRoomError(GenreError):
    """Disk, quota or size limit leave no room to write a file; what was there is as it was."""


class RegistryError(GenreError):
    """The MLflow store cannot be reached or does not hold what was asked for."""


class UnusableStoreError(RegistryError, InputError):
    """The MLflow store is damaged, or may not be written: trying again changes nothing."""
