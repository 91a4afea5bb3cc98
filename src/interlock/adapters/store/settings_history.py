"""Which settings were in force since when. The file holds no secret, so its text can be kept."""

import hashlib

from interlock.adapters.store.database import Database


class SettingsHistory:
    """The texts of the settings file, each with the time it was first loaded."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def loaded(self, text: str, at_s: float) -> str:
        """Note that this text is in force, unless it already was; returns its SHA-256. Raises StateUnavailable."""
        digest = hashlib.sha256(text.encode()).hexdigest()
        sql = (
            "INSERT INTO settings_history (digest, loaded_at_s, text) SELECT ?1, ?2, ?3 WHERE ?1 IS NOT"
            " (SELECT digest FROM settings_history ORDER BY number DESC LIMIT 1)"
        )
        await self._database.write(lambda connection: connection.execute(sql, (digest, at_s, text)))
        return digest
