"""Signing in at a SAML 2.0 identity provider: web browser SSO, service provider's side (SAML profiles 4.1).

document     reads XML that a stranger sent, after refusing what could be read in two ways
names        the namespaces and URIs of SAML
signatures   which element of a document a provider's key has signed
assertion    what a signed assertion says
response     what must hold for it to log somebody in here and now
person       what identity rules read of an assertion
logout       a provider's request to log somebody out
memory       assertions that have been used
provider_metadata, metadata_source   what a provider says of itself, and keeping it fresh
own_keys, own_messages, bindings     what this gateway sends, and how messages travel
provider     all of it together, behind ``services.sign_in`` and ``services.single_logout``
"""
