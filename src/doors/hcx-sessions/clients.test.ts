import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { adminPath, hybridityPath, patient, readErrorMap, tokenShape } from '../../../tests/support/hcx.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { demoUsers } from '../../cli/demo-data.ts';

const { admin } = demoUsers;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ settings: patient });
});
afterAll(() => server.close());

/** Runs a bash script with the server's addresses. @returns what it printed */
async function runScript(script: string, password: string = admin.password): Promise<string> {
  const body = JSON.stringify({ username: admin.login, password });
  const env = {
    PATH: process.env['PATH'] ?? '',
    APPLIANCE: server.httpsUrl.replace('localhost', '127.0.0.1'),
    WEB: server.url,
    BODY: body,
    ADMIN: adminPath,
    LOGIN: hybridityPath,
  };
  const child = Bun.spawn(['bash', '-euo', 'pipefail', '-c', script], { env, stdout: 'pipe', stderr: 'inherit' });
  const output = await new Response(child.stdout).text();
  expect(await child.exited).toBe(0);
  return output.trim();
}

/** As published scripts do: headers dumped, the name searched letter by letter, the last run of hex and colons on its line. */
const readToken = `grep 'x-hm-authorization:' | sed 's/\\r$//' | grep -oE '[a-f0-9:]+$'`;

describe('[26] shell scripts with curl and grep', () => {
  test.each([
    ['appliance', '$APPLIANCE$ADMIN'],
    ['web', '$WEB$LOGIN'],
  ])('sign in on the %s path, ask with a body and without, and sign out', async (_, address) => {
    const output = await runScript(`
      token=$(curl -sk -D - -o /dev/null -H 'Content-Type: application/json' -X POST -d "$BODY" "${address}" | ${readToken})
      echo "$token"
      ask() { curl -sk -o /dev/null -w '%{http_code}\\n' -H "x-hm-authorization: $token" "$@" "$APPLIANCE$ADMIN"; }
      ask
      ask -X GET -d '{"half": '
      ask -X GET -H 'Content-Length: 0'
      curl -sk -o /dev/null -w '%{http_code}\\n' -H "Authorization: $token" "$APPLIANCE$ADMIN"
      ask -X DELETE
      ask`);
    const [token = '', ...codes] = output.split('\n');
    expect(token).toMatch(tokenShape);
    expect(codes).toEqual(['200', '200', '200', '200', '200', '401']);
  });

  test('the body of the web login, as a script pipes it on, says success as a boolean', async () => {
    const output = await runScript(`curl -sk -H 'Accept: application/json' -X POST -d "$BODY" "$WEB$LOGIN"`);
    expect((JSON.parse(output) as { success: unknown }).success).toBe(true);
  });

  test('curl by user name and password, asked for first and unasked', async () => {
    const output = await runScript(`
      curl -sk -o /dev/null -w '%{http_code}\\n' -u admin:'VMware1!' "$APPLIANCE$ADMIN"
      curl -sk -o /dev/null -w '%{http_code}\\n' --anyauth -u admin:'VMware1!' "$APPLIANCE$ADMIN"`);
    expect(output.split('\n')).toEqual(['200', '200']);
  });

  test('a client that reads failures as entries of two strings finds the message', async () => {
    const script = `curl -sk -H 'Accept:' -H 'Content-Type:' -X POST -d "$BODY" "$WEB$LOGIN"`;
    const members = readErrorMap(await runScript(script, 'wrong'));
    expect(members['error']).toBe('Invalid username or password.');
  });
});
