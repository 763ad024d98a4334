from hypothesis import settings

# Every run draws the same examples, and a busy machine fails no test.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")
