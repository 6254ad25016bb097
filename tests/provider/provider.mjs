// An OpenID Connect provider for tests: oidc-provider (certified) on loopback, with the people of PEOPLE (JSON).
// It listens on a free port, then prints its issuer.
import { webcrypto } from "node:crypto";
import { createServer } from "node:http";

globalThis.crypto ??= webcrypto;
const { default: Provider } = await import("oidc-provider");

const people = JSON.parse(process.env.PEOPLE);
const redirect = process.env.REDIRECT_URI;

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "ruam",
        client_secret: process.env.CLIENT_SECRET,
        redirect_uris: [redirect],
        post_logout_redirect_uris: [redirect],
        response_types: ["code"],
        grant_types: ["authorization_code"],
      },
    ],
    pkce: { required: () => true },
    claims: { openid: ["sub"], profile: ["name"], moph: ["roles", "areas"] },
    scopes: ["openid", "profile", "moph"],
    conformIdTokenClaims: false, // Roles go into the ID token: what stands in userinfo alone is not read.
    ttl: { IdToken: () => Number(process.env.TOKEN_SECONDS ?? 3600) },
    cookies: { keys: [webcrypto.randomUUID()] },
    findAccount: (_, sub) =>
      Object.hasOwn(people, sub) ? { accountId: sub, claims: () => ({ sub, ...people[sub] }) } : undefined,
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
