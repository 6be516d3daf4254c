"""Learners, which compute a training step, and the add-ons that change it."""
