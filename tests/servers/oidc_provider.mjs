// An OpenID provider for tests: npm oidc-provider with its development pages, where any password does.
// Configured by the JSON in OIDC_PROVIDER: {issuer, port, clients, accounts: {name: claims}, audiences, key}.
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const settings = JSON.parse(process.env.OIDC_PROVIDER);
const library = `${process.env.NPM_PACKAGES}/node_modules/oidc-provider/lib/index.js`;
const { default: Provider } = await import(pathToFileURL(library).href);

const provider = new Provider(settings.issuer, {
  clients: settings.clients,
  jwks: { keys: [settings.key] },
  cookies: { keys: ['only for tests'] },
  claims: { openid: ['sub', 'sid', 'groups', 'email', 'acr', 'auth_time'] },
  conformIdTokenClaims: false,
  acrValues: ['urn:test:password', 'urn:test:hardware'],
  findAccount: (_, id) => {
    const account = settings.accounts[id];
    return account && { accountId: id, claims: () => ({ sub: id, ...account }) };
  },
  extraTokenClaims: (_, token) => token.accountId && settings.accounts[token.accountId],
  // Nobody is asked for consent: all is granted that a client asks for.
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({
      clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId,
    });
    grant.addOIDCScope('openid offline_access');
    for (const audience of settings.audiences) grant.addResourceScope(audience, 'use');
    await grant.save();
    return grant;
  },
  features: {
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    clientCredentials: { enabled: true },
    backchannelLogout: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    resourceIndicators: {
      enabled: true,
      // Programs without a browser ask for tokens for the first audience, with the person's claims in them.
      defaultResource: (ctx, client) => (client.applicationType === 'native' ? settings.audiences[0] : undefined),
      useGrantedResource: () => true,
      getResourceServerInfo: (_, audience, client) => {
        if (!settings.audiences.includes(audience)) throw new Error('unknown resource');
        const accessTokenFormat = client.clientId.startsWith('opaque-') ? 'opaque' : 'jwt';
        return { audience, scope: 'use', accessTokenFormat, accessTokenTTL: 600, jwt: { sign: { alg: 'RS256' } } };
      },
    },
  },
  // Its guard against server-side request forgery refuses loopback, which is where everything is in tests.
  fetch: (url, options) => {
    delete options.dispatcher;
    return fetch(url, options);
  },
});

for (const event of ['server_error', 'backchannel.error', 'grant.error', 'authorization.error']) {
  provider.on(event, (...details) => {
    const error = details.find((detail) => detail instanceof Error);
    console.error(event, error?.message, error?.error_description, error?.error_detail);
  });
}
createServer(provider.callback()).listen(settings.port, '127.0.0.1');
