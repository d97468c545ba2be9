"""The compile cache: facts about queries by the hash of everything they depend on."""
