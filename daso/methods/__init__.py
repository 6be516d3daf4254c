"""What one training step is: learners, and the add-ons that bend them."""
