"""People who sign in at an OpenID Connect issuer: the gateway as a relying party, by the authorization code flow."""
