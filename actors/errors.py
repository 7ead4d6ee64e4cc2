"""What an asker can see go wrong, besides the errors that a message's contract names."""


class AskFailed(Exception):
    """The base of the errors below: the ask ended without the actor's own answer."""


class MailboxFull(AskFailed):
    """The mailbox has no room now; nothing was sent."""


class ActorStopped(AskFailed):
    """The actor is gone, or went before it answered; whether it acted is unknown."""


class HandlerCrashed(AskFailed):
    """A bug ended the actor while it held the message; whether it acted is unknown."""


class NoRenderProcess(AskFailed):
    """The system has no process to render in now; nothing was begun."""


class Draining(Exception):
    """The service is shutting down and accepts nothing new."""


class BacklogFull(Exception):
    """As many jobs are pending as the settings allow."""


class OutputNotFound(Exception):
    """The job has no output of that name."""


class JobInterrupted(Exception):
    """A Worker gave up a job that it could neither complete nor fail."""
