// A SAML identity provider: npm samlp. People say who they are in a form, which stands for their password.
// Settings are JSON in SAML_PROVIDER; PUT /settings changes them while it runs.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.NPM_PACKAGES}/package.json`);
const express = require("express");
const samlp = require("samlp");

const settings = JSON.parse(process.env.SAML_PROVIDER);
const app = express();
const sessions = new Map();

function profileMapper(person) {
  return {
    getClaims: () => person.attributes,
    getNameIdentifier: () => ({
      nameIdentifier: person.name_id,
      nameIdentifierFormat: "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
    }),
  };
}
profileMapper.prototype.metadata = [];

const credentials = () => settings.pairs[settings.signing];
const escape = (text) => text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");

function respond(req, res, next) {
  const person = settings.people[req.body.login];
  const sessionIndex = `_session-${sessions.size}`;
  sessions.set(sessionIndex, person.name_id);
  samlp.auth({
    ...credentials(),
    issuer: settings.issuer,
    signingCert: settings.service.certificate,
    signResponse: settings.signs !== "assertion",
    signAssertion: settings.signs !== "response",
    destination: settings.service.consumer_url,
    recipient: settings.service.consumer_url,
    audience: settings.service.entity_id,
    sessionIndex,
    lifetimeInSeconds: 300,
    profileMapper,
    getUserFromRequest: () => person,
    getPostURL: (_audience, _request, _req, done) => done(null, settings.service.consumer_url),
  })(req, res, next);
}

app.use(express.urlencoded({ extended: false, limit: "1mb" }));
app.put("/settings", express.json({ limit: "1mb" }), (req, res) => res.json(Object.assign(settings, req.body)));
app.get("/metadata", (req, res) => {
  const paths = { redirectEndpointPath: "/sso", postEndpointPath: "/sso" };
  const logoutEndpointPaths = { redirect: "/slo", post: "/slo" };
  samlp.metadata({ ...credentials(), issuer: settings.issuer, profileMapper, logoutEndpointPaths, ...paths })(req, res);
});
app.get("/sso", (req, res) =>
  res.send(`<form method="post" action="${escape(req.originalUrl)}"><input name="login"></form>`),
);
// The binding is HTTP-Redirect: the request stays in the query, and what it signs with it.
app.post("/sso", (req, res, next) => {
  req.method = "GET";
  respond(req, res, next);
});
// Logs one session out at the service, by a request that the browser carries there.
app.get("/logout/:session", (req, res, next) => {
  const participant = {
    serviceProviderId: settings.service.entity_id,
    nameId: sessions.get(req.params.session),
    nameIdFormat: "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
    sessionIndex: req.params.session,
    serviceProviderLogoutURL: settings.service.logout_url,
    cert: settings.service.certificate,
  };
  logout([participant], req.query.binding)(req, res, next);
});
app.all("/slo", (req, res, next) => logout([], "HTTP-Redirect")(req, res, next));

const states = new Map();
const store = {
  save: (_req, state, done) => {
    const handle = `state-${states.size}`;
    states.set(handle, state);
    done(null, handle);
  },
  load: (_req, handle, options, done) => {
    const state = states.get(handle);
    if (options.destroy) states.delete(handle);
    done(null, state);
  },
};
let participants = new (require("samlp/lib/sessionParticipants"))([]);

function logout(begun, binding) {
  if (begun.length) participants = new (require("samlp/lib/sessionParticipants"))(begun);
  return samlp.logout({
    ...credentials(),
    deflate: binding !== "HTTP-POST",
    issuer: settings.issuer,
    protocolBinding: `urn:oasis:names:tc:SAML:2.0:bindings:${binding}`,
    sessionParticipants: participants,
    store,
    clearIdPSession: (done) => done(),
  });
}

app.listen(settings.port, "127.0.0.1");
