"""Notifications to phones and other services, `earshot notify`: a process of its own, which subscribes."""
