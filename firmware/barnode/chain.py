"""A doubly linked list over preallocated arrays: every operation takes the same short time and allocates
nothing."""


class Chain:
    """Members are small numbers; -1 is none. Chains may share their two arrays while a number is in one at a
    time."""

    def __init__(self, following, preceding):
        self.following = following
        self.preceding = preceding
        self.first = -1
        self.last = -1

    def insert(self, after, member):
        """Put `member` behind `after`; behind -1 is the front."""
        before = self.first if after < 0 else self.following[after]
        self.following[member] = before
        self.preceding[member] = after
        if after < 0:
            self.first = member
        else:
            self.following[after] = member
        if before < 0:
            self.last = member
        else:
            self.preceding[before] = member

    def append(self, member):
        self.insert(self.last, member)

    def remove(self, member):
        before = self.preceding[member]
        behind = self.following[member]
        if before < 0:
            self.first = behind
        else:
            self.following[before] = behind
        if behind < 0:
            self.last = before
        else:
            self.preceding[behind] = before
