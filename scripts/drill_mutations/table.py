"""List all mutations, in the order of the page."""

from scripts.drill_mutations import around, channel, evidence, keys, proofs, tokens

MUTATIONS = (
    *tokens.MUTATIONS,
    *proofs.MUTATIONS,
    *around.MUTATIONS,
    *evidence.MUTATIONS,
    *channel.MUTATIONS,
    *keys.MUTATIONS,
)
