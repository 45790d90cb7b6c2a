"""Ways to reach people, one folder each, all with the contract of `channel.Channel`; `registry` lists them.

Receives a rendered message from `stages.deliver`; returns what the provider answered. Never raises for a provider's
failure, never retries (the policy does, from its state), and never shows an address that holds a secret.
"""
