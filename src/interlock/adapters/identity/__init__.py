"""Who callers are: bearer tokens of trusted issuers, generated secrets, and the rules that name their holders.

token           takes a compact token apart and refuses what cannot be one, before any key is looked at
keys            an issuer's published keys, and which of them may verify what
issuer_client   asks an issuer over HTTP
kept            what is fetched and kept: expiry, rotation, outages
issuer          an issuer's keys, by discovery, from a URL or a file
trust_domain    a SPIFFE trust domain, or other authorities: its bundle, fetched or from a file
bundle          reads bundles and authorities
certificates    who holds a client certificate
check           one check, and who is told of it
verification    the checks of a token, one after the other
claims          what a verified token must say of time, audience and purpose
rules           from claims to a named identity
authenticator   all of it together, behind ``services.ports.Authenticator``
token_tester    the same checks, for an administrator to look at
ssh_logins      registered SSH keys and certificates of this gateway, behind ``services.ports.SshLogins``
device_login    a token for a person who signs in elsewhere, with a browser
saml            people who sign in at SAML 2.0 identity providers
development     an issuer for trying things out, on loopback only
"""
