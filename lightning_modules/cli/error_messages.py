"""What an error says, in lines that can be read."""

import re

from lightning_modules.utilities.messages import without_middle

#: What torch says where it has no memory left, as a plain RuntimeError.
_ALLOCATOR = "can't allocate memory"
_LONGEST_LINE, _LONGEST_MESSAGE, _MOST_LINES = 1_000, 1_500, 8
_WRAPPED = re.compile(r"[\s-]*(Does not validate|Problem with given|Parser key)")


def own_message(error: BaseException) -> str:
    """Return the message of an error, or of its cause where the error only says that something could not be built."""
    while error.__cause__ is not None and _WRAPPED.match(str(error)):
        error = error.__cause__
    text = str(error).strip() or type(error).__name__
    if isinstance(error, MemoryError) or _ALLOCATOR in text:
        text = f"there is not enough memory: {text}. Make sizes smaller, such as batches, embeddings or layers"
    lines = [without_middle(line, _LONGEST_LINE) for line in text.splitlines()]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 2], "...", lines[-1]]
    return without_middle("\n".join(lines), _LONGEST_MESSAGE)
