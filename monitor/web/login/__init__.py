"""Who may see and do what: logins, users, and the gate that every request passes."""

__all__ = [
    "access",
    "gate",
    "login_attempts",
    "login_page",
    "open_sockets",
    "passwords",
    "sessions",
    "users",
    "users_page",
]
