"""The exceptions that py-consul's tests name."""


class APIError(Exception):
    """The engine has refused."""


class NotFound(APIError):
    """No such container."""
