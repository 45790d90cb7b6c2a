"""Ways to reach people, one file each, all with the contract of `channel.Channel`.

Receives a rendered message from `deliver`; returns what the provider answered. Never raises for a provider's failure,
never retries (the policy does, from its state), and never shows an address that holds a secret.
"""
