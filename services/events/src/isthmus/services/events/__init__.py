"""Durable events and live subscriptions to them."""
