import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { demoUsers } from '../../src/cli/demo-data.ts';
import { sendRaw } from '../../src/http/raw-client.ts';
import { underAttack, useAttackGround } from '../support/attack.ts';
import { faces } from '../support/door-faces.ts';
import * as rest from '../support/ecgrid.ts';
import { bytesOf } from '../support/face-exchange.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { logins } from '../support/login-ways.ts';
import { endPrograms, fillGround, type Ground, makeGround, startServing } from '../support/program.ts';
import { testPassword } from '../support/users.ts';

const ground = useAttackGround();
const root = async () => rest.bearer((await rest.login(ground.server, demoUsers.admin)).token);

describe('attacks D: what reaches the store', () => {
  test('D01 D02 fragments and wild cards in every field that looks for somebody: literal, nobody found, no row changed', async () => {
    const headers = await root();
    const before = await fingerprint(ground.server);
    const texts = [
      '%',
      '_',
      'j%',
      'jsmith_example.com',
      '%@%',
      '\\',
      '*',
      "' or 1=1--",
      "jsmith@example.com' --",
      '1) or (1=1',
    ];
    await underAttack(ground, async () => {
      for (const login of texts) {
        const found = await rest.rest(ground.server, 'POST', '/v2/users/by-name', { headers, body: { login } });
        expect({ login, status: found.status, data: found.body.data }).toEqual({ login, status: 200, data: [] });
      }
      for (const id of ["1'", '1 or 1=1', '1;drop table users', '1%00', '1/**/']) {
        const answer = await rest.rest(ground.server, 'GET', `/v2/users/${encodeURIComponent(id)}`, { headers });
        expect({ id, status: answer.status }).toEqual({ id, status: 400 });
      }
    });
    expect(await fingerprint(ground.server)).toBe(before);
  });

  test('D03 huge, negative and foreign page, filter and sort parameters: B400, or ignored where no member has the name', async () => {
    const headers = await root();
    const list = (body: object) => rest.rest(ground.server, 'POST', '/v2/users/list', { headers, body });
    const refused = [
      { pageNo: 0 },
      { pageNo: -1 },
      { pageNo: 1e308 },
      { pageNo: 9_007_199_254_740_991 },
      { pageNo: '1' },
      { recordsPerPage: 0 },
      { recordsPerPage: 501 },
      { recordsPerPage: 1e9 },
      { recordsPerPage: 1.5 },
      { networkId: -1 },
      { networkId: 2_147_483_648 },
      { networkId: '1 or 1=1' },
      { authLevel: 'x'.repeat(10_000) },
      { status: ['Active'] },
    ];
    for (const body of refused) {
      const { status } = await underAttack(ground, () => list(body));
      expect({ body, status }).toEqual({ body, status: 400 });
    }
    const plain = await list({});
    const more = { sort: 'password_hash', orderBy: '1;drop', filter: 'x'.repeat(10_000), fields: ['*'] };
    expect((await list(more)).text).toBe(plain.text);
    expect((await list({ pageNo: 1_000_000, recordsPerPage: 500 })).body.data).toEqual([]);
  });
});

describe('attacks I: what reaches the log', () => {
  const odd = [
    '\r\nevil: 1',
    '\u001b[31mred',
    '\u2028next',
    'nul\u0000',
    '\u202eesrever',
    '${jndi:ldap://127.0.0.1/x}',
    '%n%s',
    '{{7*7}}',
    '=cmd()',
  ];

  test.each(logins.map(([way, login]) => [way, login] as const))(
    'I01 I02 odd names at %s: each record is one line of JSON, and the text is no more than text',
    async (_, login) => {
      const { server } = ground;
      const before = server.log.length;
      for (const text of odd) await underAttack(ground, () => login(server, `who${text}`, testPassword));
      for (const line of server.log.slice(before)) {
        expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/);
        expect(typeof JSON.parse(line)).toBe('object');
        expect(line).not.toContain('{{49}}');
      }
    },
  );

  test.each(faces.map((face) => [face.name, face] as const))(
    'I01 I03 a user agent of 15 KB with controls at %s: cut at 256 in log and audit',
    async (_, face) => {
      const { server, port } = ground;
      const agent = `A\x85${'a'.repeat(15_000)}`;
      const wrong = JSON.stringify({
        login: 'nobody',
        email: 'nobody',
        username: 'nobody',
        password: 'wrong password',
      });
      const soap =
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><Login xmlns="http://www.ecgridos.net/"><UserName>nobody</UserName><Password>x</Password></Login></s:Body></s:Envelope>';
      const sent = face.post(face.kind === 'SessionID' ? soap : wrong);
      await underAttack(ground, () =>
        sendRaw(port, bytesOf({ ...sent, lines: [...sent.lines, `User-Agent: ${agent}`] })),
      );
      const { user_agent } = await server.core.store.db
        .selectFrom('audit_events')
        .select('user_agent')
        .orderBy('id', 'desc')
        .executeTakeFirstOrThrow();
      expect(user_agent).toMatch(/^Aa+$/);
      expect(user_agent.length).toBeLessThanOrEqual(256);
      for (const line of server.log) expect(line).not.toContain('a'.repeat(257));
    },
  );
});

describe('attacks P: the process', () => {
  let place: Ground;
  beforeEach(() => {
    place = makeGround();
  });
  afterEach(async () => {
    await endPrograms();
    place.remove();
  });

  test('P03 P06 no secret stands on the command line, and a start as root is told', async () => {
    await fillGround(place);
    const program = await startServing(place.env);
    const command = Bun.spawnSync(['ps', '-o', 'args=', '-p', String(program.pid)]).stdout.toString();
    expect(command).toContain('serve');
    // Every text of the file that is long enough to be a key.
    const keys = readFileSync(`${place.directory}/signing-keys.json`, 'utf8').match(/[A-Za-z0-9_+/-]{40,}/g) ?? [];
    expect(keys.length).toBeGreaterThanOrEqual(2);
    const shown = [
      command,
      existsSync(`/proc/${program.pid}/environ`) ? readFileSync(`/proc/${program.pid}/environ`, 'utf8') : '',
    ];
    for (const key of keys) for (const text of shown) expect(text).not.toContain(key);
    expect(program.output().includes('server.started_as_root')).toBe(process.getuid?.() === 0);
  });
});
