// Registers and logs in with the OPAQUE library that browsers use, against a running Cypher, and ends the session.
//
// Called as: node browser.mjs <base URL> <username>, with the password in CYPHER_TEST_PASSWORD.
// Prints one line of JSON: {config, user, session, public_key_matches, messages}.
import { client, ready } from "@serenity-kit/opaque";

const [baseUrl, username] = process.argv.slice(2);
const password = process.env.CYPHER_TEST_PASSWORD;

async function call(method, path, { body, bearer } = {}) {
  const headers = { "Content-Type": "application/json" };
  if (bearer) headers.Authorization = `Bearer ${bearer}`;
  const response = await fetch(baseUrl + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

await ready;
const config = await call("GET", "/v1/config");
const { memory_kib, iterations, parallelism } = config.opaque.ksf;
const keyStretching = { "argon2id-custom": { memory: memory_kib, iterations, parallelism } };

const registration = client.startRegistration({ password });
const registrationStarted = await call("POST", "/v1/registration/start", {
  body: { username, registration_request: registration.registrationRequest },
});
const record = client.finishRegistration({
  password,
  clientRegistrationState: registration.clientRegistrationState,
  registrationResponse: registrationStarted.registration_response,
  keyStretching,
});
const { user } = await call("POST", "/v1/registration/finish", {
  body: { flow_id: registrationStarted.flow_id, registration_record: record.registrationRecord },
});

const login = client.startLogin({ password });
const loginStarted = await call("POST", "/v1/login/start", { body: { username, ke1: login.startLoginRequest } });
const finished = client.finishLogin({
  password,
  clientLoginState: login.clientLoginState,
  loginResponse: loginStarted.ke2,
  keyStretching,
});
if (!finished) throw new Error("KE2 does not open with the password it was made for");
const authenticated = await call("POST", "/v1/login/finish", {
  body: { flow_id: loginStarted.flow_id, ke3: finished.finishLoginRequest },
});

const session = await call("GET", "/v1/session", { bearer: authenticated.access_token });
await call("DELETE", "/v1/session", { bearer: authenticated.access_token });

console.log(
  JSON.stringify({
    config,
    user,
    session,
    public_key_matches: [record.serverStaticPublicKey, finished.serverStaticPublicKey].every(
      (key) => key === config.opaque.server_public_key,
    ),
    messages: [registration.registrationRequest, record.registrationRecord, login.startLoginRequest, loginStarted.ke2],
  }),
);
