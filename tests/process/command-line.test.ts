import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { doorsOf, tokenOf } from '../support/http.ts';
import {
  endPrograms,
  type Finished,
  fillGround,
  type Ground,
  makeGround,
  projectRoot,
  runProgram,
  type Server,
  startServing,
} from '../support/program.ts';

const john = { login: 'jsmith@example.com', password: 'Sup3r$ecret!' };
const johnsKey = 'F9E8D7C6-B5A4-3210-FEDC-BA9876543210';

let ground: Ground;
let server: Server;
beforeAll(async () => {
  ground = makeGround();
  await fillGround(ground);
  server = await startServing(ground.env);
});
afterAll(async () => {
  await endPrograms();
  ground.remove();
});

const cardea = (...args: string[]) => runProgram(args, { env: ground.env });
const cardeaReading = (input: string, ...args: string[]) => runProgram(args, { env: ground.env, input });
const doors = () => doorsOf(server.url);

/** @returns what a command that worked printed; fails unless it worked and was silent on standard error */
function printed({ code, output, errors }: Finished): string {
  expect({ code, errors }).toEqual({ code: 0, errors: '' });
  return output;
}

function printedJson(finished: Finished): Record<string, unknown> {
  return JSON.parse(printed(finished)) as Record<string, unknown>;
}

function expectRefusal({ code, output, errors }: Finished, sentence: RegExp): void {
  expect({ code, output }).toEqual({ code: 1, output: '' });
  expect(errors).toMatch(/^(cardea|error): [^\n]+\n(\([^\n]+\)\n)*$/);
  expect(errors).toMatch(sentence);
}

describe('P1: a command beside a running server binds its very next answer', () => {
  test('user add, then the user signs in; user disable ends the session and the sign-in; user enable allows it again', async () => {
    const added = printedJson(await cardea('user', 'add', 'ada', '--email', 'ada@example.com', '--json'));
    expect(added).toMatchObject({ login: 'ada', email: 'ada@example.com', authLevel: 'MailboxUser', status: 'Active' });
    const password = String(added['password']);
    expect(password).toHaveLength(24);
    const token = tokenOf(await doors().restLogin('ada', password));
    expect((await doors().webSession(token)).status).toBe(200);

    expect(printed(await cardea('user', 'disable', 'ada'))).toMatch(/^User \d+ ada is suspended and signed out/);
    expect((await doors().restSession(token)).status).toBe(401);
    expect((await doors().webSession(token)).status).toBe(401);
    expect((await doors().restLogin('ada', password)).status).toBe(401);

    expect(printed(await cardea('user', 'enable', 'ada'))).toMatch(/^User \d+ ada may sign in again\.\n$/);
    expect((await doors().restSession(token)).status).toBe(401);
    expect((await doors().webLogin('ada@example.com', password)).status).toBe(200);
  });

  test('user passwd ends sessions and the old password', async () => {
    const added = printedJson(await cardeaReading('tin roof in rain\n', ...addUser('bea'), '--password-stdin'));
    expect(added['password']).toBeUndefined();
    const token = tokenOf(await doors().restLogin('bea', 'tin roof in rain'));
    const said = printed(await cardeaReading('soft rain at night\r\n', 'user', 'passwd', 'bea', '--password-stdin'));
    expect(said).toMatch(/^Set a new password for user \d+ bea; all sessions of the user have ended\.\n$/);
    expect((await doors().restSession(token)).status).toBe(401);
    expect((await doors().restLogin('bea', 'tin roof in rain')).status).toBe(401);
    expect((await doors().restLogin('bea', 'soft rain at night')).status).toBe(200);
  });

  test('session list shows a session, session end ends it, and session end --user the others', async () => {
    await cardea('session', 'end', '--user', '4821');
    expect(printed(await cardea('session', 'list', '--user', john.login))).toBe('There are no live sessions.\n');
    const tokens: string[] = [];
    for (let count = 0; count < 3; count += 1) {
      tokens.push(tokenOf(await doors().restLogin(john.login, john.password)));
    }
    const [first = '', ...others] = tokens;
    const { sid } = JSON.parse(Buffer.from(first.split('.')[1] ?? '', 'base64url').toString()) as { sid: string };
    const table = printed(await cardea('session', 'list', '--user', '4821'));
    expect(table.split('\n')[0]).toMatch(/^SESSION +USER +OPENED BY +OPENED +EXPIRES +STATE +ADDRESS$/);
    expect(table).toContain(sid);
    for (const token of tokens) expect(table).not.toContain(token);

    expect(printed(await cardea('session', 'end', sid))).toBe('Ended 1 session.\n');
    expect((await doors().restSession(first)).status).toBe(401);
    for (const token of others) expect((await doors().webSession(token)).status).toBe(200);
    expect(printedJson(await cardea('session', 'end', '--user', john.login, '--json'))).toEqual({ ended: 2 });
    for (const token of others) expect((await doors().webSession(token)).status).toBe(401);

    const all = JSON.parse(printed(await cardea('session', 'list', '--user', '4821', '--all', '--json'))) as unknown[];
    expect(all.length).toBeGreaterThanOrEqual(3);
    expectRefusal(await cardea('session', 'end', sid), /There is no live session with this id/);
  });

  test('key generate kills the old key, key revoke the new one', async () => {
    expect((await doors().keySession(johnsKey)).status).toBe(200);
    const made = printedJson(await cardea('key', 'generate', john.login, '--json'));
    expect(made).toMatchObject({ id: 4821, login: john.login });
    const key = String(made['key']);
    expect((await doors().keySession(johnsKey)).status).toBe(401);
    expect((await doors().keySession(key)).status).toBe(200);
    expect(printed(await cardea('key', 'revoke', '4821'))).toBe(`Revoked the API key of user 4821 ${john.login}.\n`);
    expect((await doors().keySession(key)).status).toBe(401);
    expectRefusal(await cardea('key', 'revoke', '4821'), /has no API key/);
    expect(printed(await cardea('key', 'generate', '4821'))).toMatch(/shown this once: [0-9a-f-]{36}\n$/);
  });
});

function addUser(login: string): string[] {
  return ['user', 'add', login, '--email', `${login}@example.com`, '--json'];
}

describe('what a command prints', () => {
  test('user list: a table for people, JSON without any hash for programs', async () => {
    const table = printed(await cardea('user', 'list'));
    expect(table).toMatch(/^ID +LOGIN +E-MAIL +LEVEL +STATUS +ORGANIZATION +MAILBOX\n/);
    expect(table).toMatch(/^4821 +jsmith@example\.com +jsmith@example\.com +MailboxAdmin +Active +1 +101$/m);
    const users = JSON.parse(printed(await cardea('user', 'list', '--json'))) as Record<string, unknown>[];
    expect(users.find(({ id }) => id === 4821)).toMatchObject({ login: john.login, authLevel: 'MailboxAdmin' });
    expect(JSON.stringify(users)).not.toMatch(/argon2|password|digest|hash/i);
  });

  test('doctor: all is well beside a running server, in both forms', async () => {
    const text = printed(await cardea('doctor'));
    expect(text).toMatch(/All is well\.\n$/);
    expect(text).not.toMatch(/^BAD/m);
    const report = printedJson(await cardea('doctor', '--json')) as { ok: boolean; findings: { check: string }[] };
    expect(report.ok).toBe(true);
    expect(report.findings.map(({ check }) => check)).toEqual([
      'data directory',
      'signing keys',
      'clock',
      'database',
      'schema',
      'lineage',
      'integrity',
      'audit chain',
    ]);
  });

  test('doctor: what is wrong, with exit code 1', async () => {
    const elsewhere = { ...ground.env, CARDEA_DATA: join(ground.directory, 'missing') };
    const { code, output, errors } = await runProgram(['doctor'], { env: elsewhere });
    expect({ code, errors }).toEqual({ code: 1, errors: '' });
    expect(output).toMatch(/^BAD {2}data directory .*does not exist; "cardea serve" makes it\.$/m);
    expect(output).toMatch(/^BAD {2}database /m);
    const report = await runProgram(['doctor', '--json'], { env: elsewhere });
    expect({ code: report.code, ok: (JSON.parse(report.output) as { ok: boolean }).ok }).toEqual({
      code: 1,
      ok: false,
    });
  });

  test('help: every command, every setting, the version', async () => {
    const help = printed(await cardea('--help'));
    for (const word of ['serve', 'demo', 'user', 'session', 'key', 'backup', 'restore', 'doctor', 'help config'])
      expect(help).toContain(word);
    for (const group of ['user', 'session', 'key']) {
      expect(printed(await cardea(group, '--help'))).toBe(printed(await cardea('help', group)));
    }
    const settings = printed(await cardea('help', 'config'));
    expect(settings).toMatch(/^CARDEA_HTTP_PORT\n {4}Port for plain HTTP.*\n.*Default: 8080\.$/m);
    const rows = JSON.parse(printed(await cardea('help', 'config', '--json'))) as { environment: string }[];
    for (const { environment } of rows) expect(settings).toContain(`${environment}\n`);
    expect(printed(await cardea('--version'))).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test('bin/cardea.js runs it under Node, with its exit codes and its input', async () => {
    const command = ['node', join(projectRoot, 'bin/cardea.js')];
    const { env } = ground;
    expect(printed(await runProgram(['--version'], { command }))).toMatch(/^\d+\.\d+\.\d+\n$/);
    expectRefusal(await runProgram(['user', 'disable', 'nobody'], { command, env }), /There is no user "nobody"/);
    const input = 'wide open window\n';
    printed(await runProgram(['user', 'passwd', 'soapuser', '--password-stdin'], { command, env, input }));
    expect((await doors().restLogin('soapuser', 'wide open window')).status).toBe(200);
  });
});

describe('a mistake is one sentence and exit code 1', () => {
  const add = ['user', 'add'];
  const mistakes: [args: string[], sentence: RegExp][] = [
    [['frobnicate'], /unknown command 'frobnicate'/],
    [['user', 'delete'], /unknown command 'delete'/],
    [['user', 'list', '--jsn'], /unknown option '--jsn'/],
    [['user', 'disable'], /missing required argument 'user'/],
    [['user', 'disable', 'nobody'], /There is no user "nobody"; "cardea user list" shows them/],
    [['user', 'enable', '99999'], /There is no user "99999"/],
    [['user', 'disable', 'admin'], /the user is the last Root user/],
    [[...add, 'cid'], /required option '--email/],
    [[...add, 'jsmith@example.com', '--email', 'x@example.com'], /a user with this login .* exists already/],
    [[...add, 'cid', '--email', 'jsmith@example.com'], /another user has this e-mail/],
    [[...add, 'cid', '--email', 'nowhere'], /the e-mail address must contain one @/],
    [[...add, ' cid', '--email', 'cid@example.com'], /the login must not begin or end with a space/],
    [[...add, 'cid', '--email', 'cid@example.com', '--level', 'King'], /--level must be one of Root, TechOps/],
    [[...add, 'cid', '--email', 'cid@example.com', '--organization', '99'], /the organization does not exist/],
    [[...add, 'cid', '--email', 'cid@example.com', '--organization', 'x'], /--organization must be a whole number/],
    [[...add, 'cid', '--email', 'cid@example.com', '--mailbox', '200'], /the mailbox does not exist in this network/],
    [['session', 'end'], /Name one session id, or --user/],
    [['session', 'end', '-bcdefghijklmnopqrstuv'], /There is no live session with this id/],
    [['session', 'end', '-hVcdefghijklmnopqrstuv'], /There is no live session with this id/],
    [['session', 'end', 'x', '--user', 'admin'], /Name one session id, or --user/],
    [['session', 'list', '--user', 'nobody'], /There is no user "nobody"/],
    [['key', 'generate', 'nobody'], /There is no user "nobody"/],
  ];
  test.each(mistakes.map((mistake) => [mistake[0].join(' '), ...mistake] as const))('%s', async (_line, args, said) => {
    expectRefusal(await cardea(...args), said);
  });

  test('a weak, over-long or missing password is refused with the rule it breaks, never shown', async () => {
    const passwords: [input: string, rule: RegExp][] = [
      ['short\n', /the new password must be at least 12 characters/],
      ['password1234\n', /the new password must not be a commonly used password/],
      ['jsmith@example.com\n', /the new password must not be your login, your e-mail address/],
      [`${'x'.repeat(1025)}\n`, /the new password must be at most 1,024 bytes/],
      ['\n', /There was no password on standard input/],
      ['', /There was no password on standard input/],
    ];
    for (const [input, rule] of passwords) {
      const refused = await cardeaReading(input, 'user', 'passwd', '4821', '--password-stdin');
      expectRefusal(refused, rule);
      if (input.length > 1 && !input.startsWith('jsmith')) expect(refused.errors).not.toContain(input.trim());
    }
  });
});
