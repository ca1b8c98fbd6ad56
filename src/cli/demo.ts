import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startApp } from '../app.ts';
import { loadConfig } from '../config.ts';
import { createLog } from '../log.ts';
import { demoKey, demoUsers, writeDemoData } from './demo-data.ts';
import { printLine } from './output.ts';
import { exitWhenBroken, stopOnSignal } from './serve.ts';
import { UsageError } from './with-core.ts';

/** Where published passwords may be served: nobody else can connect to these. */
const loopback = ['127.0.0.1', '::1', 'localhost'];

/** `cardea demo`: the whole product on a throw-away directory with the documents' example users. */
export async function demo(): Promise<void> {
  const configured = loadConfig({ ...process.env, CARDEA_DATABASE_URL: '' });
  if (!loopback.includes(configured.host)) {
    throw new UsageError(
      `The demo has published passwords, so it listens on loopback only; CARDEA_HOST is ${configured.host}.`,
    );
  }
  const directory = mkdtempSync(join(tmpdir(), 'cardea-demo-'));
  // However it ends, short of kill -9.
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const config = { ...configured, data: directory, shutdown: { ...configured.shutdown, drainMs: 0 } };
  const log = createLog('warn');
  const app = await startApp({ config, log, prepare: writeDemoData });
  exitWhenBroken(app, log);
  const stop = stopOnSignal(app, config, log, () => printLine('\nStopped; the demo data is gone.'));
  // The terminal was closed: nobody would stop the demo any more.
  process.on('SIGHUP', stop);
  printLine(describeDemo(app.url, app.httpsUrl));
}

function soapLogin({ login, password }: { readonly login: string; readonly password: string }): string {
  const parameters = `<UserName>${login}</UserName><Password>${password}</Password>`;
  const body = `<Body><Login xmlns="http://www.ecgridos.net/">${parameters}</Login></Body>`;
  return `<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/">${body}</Envelope>`;
}

/** What a newcomer reads and pastes. */
export function describeDemo(url: string, httpsUrl: string | null): string {
  const { john, soap, admin } = demoUsers;
  const json = "-H 'Content-Type: application/json'";
  const takeToken = `| grep -o '"token":"[^"]*"' | cut -d'"' -f4)`;
  return `
  ==========================================================================
   CARDEA DEMO: example users with PUBLISHED passwords. Never for real use.
   Loopback only; everything is thrown away when it stops (Ctrl-C).
  ==========================================================================

  Listening on ${url}${httpsUrl === null ? '' : `\n           and ${httpsUrl} (self-signed certificate)`}

  Users      ${john.login} / ${john.password}   (4821, MailboxAdmin, with an API key)
             ${soap.login} / ${soap.password}             (12345, MailboxUser)
             ${admin.login} / ${admin.password}                    (1, Root)
  API key    ${demoKey}   (of 4821)

--- ECGrid REST v2 ---------------------------------------------------------

curl -X POST ${url}/v2/auth/session -H 'X-API-Key: ${demoKey}'

curl -X POST ${url}/v2/auth/login ${json} -d '{"login":"${john.login}","password":"${john.password}"}'

TOKEN=$(curl -s -X POST ${url}/v2/auth/login ${json} -d '{"login":"${john.login}","password":"${john.password}"}' ${takeToken}
curl -X POST ${url}/v2/auth/session -H "Authorization: Bearer $TOKEN"
TOKEN=$(curl -s -X POST ${url}/v2/auth/refresh ${json} -d "{\\"token\\":\\"$TOKEN\\"}" ${takeToken}
curl -X POST ${url}/v2/auth/logout -H "Authorization: Bearer $TOKEN"
curl -X POST ${url}/v2/auth/session -H "Authorization: Bearer $TOKEN"

--- ECGridOS SOAP ----------------------------------------------------------

WSDL for generators: ${url}/v4.1/prod/ECGridOS.asmx?WSDL   (operations for people: without ?WSDL)

curl ${url}/v4.1/prod/ECGridOS.asmx/SessionInfo -d 'SessionID=${demoKey}'

SID=$(curl -s ${url}/v4.1/prod/ECGridOS.asmx -H 'Content-Type: text/xml' -d '${soapLogin(soap)}' | grep -o '<LoginResult>[^<]*' | cut -d'>' -f2)
curl ${url}/v4.1/prod/ECGridOS.asmx/SessionInfo -d "SessionID=$SID"
curl ${url}/v4.1/prod/ECGridOS.asmx/Logout -d "SessionID=$SID"
curl ${url}/v4.1/prod/ECGridOS.asmx/SessionInfo -d "SessionID=$SID"

--- UserSession ------------------------------------------------------------

curl -X POST ${url}/auth/login ${json} -d '{"email":"${john.login}","password":"${john.password}"}'

TOKEN=$(curl -s -X POST ${url}/auth/login ${json} -d '{"email":"${john.login}","password":"${john.password}"}' ${takeToken}
curl ${url}/auth/session -H "Authorization: Bearer $TOKEN"
curl -X POST ${url}/v2/auth/session -H "Authorization: Bearer $TOKEN"
curl -X POST ${url}/auth/logout -H "Authorization: Bearer $TOKEN"
curl ${url}/auth/session -H "Authorization: Bearer $TOKEN"
${httpsUrl === null ? '' : describeAppliance(httpsUrl, admin)}`;
}

function describeAppliance(
  url: string,
  { login, password }: { readonly login: string; readonly password: string },
): string {
  const sessions = `${url}/api/admin/v1/sessions`;
  return `
--- Appliance sessions (TLS; -k accepts the self-signed certificate) -------

curl -k ${sessions} -u '${login}:${password}'

TOKEN=$(curl -sk -D - -o /dev/null -X POST ${sessions} -d '{"username":"${login}","password":"${password}"}' | tr -d '\\r' | grep '^x-hm-authorization:' | grep -o '[a-f0-9:]*$')
curl -k ${sessions} -H "x-hm-authorization: $TOKEN"
curl -k -X DELETE ${sessions} -H "x-hm-authorization: $TOKEN"
curl -k ${sessions} -H "x-hm-authorization: $TOKEN"
`;
}
