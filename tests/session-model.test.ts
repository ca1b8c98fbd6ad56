import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import * as fc from 'fast-check';
import { demoUsers } from '../src/cli/demo-data.ts';
import { authenticate, endAll, endOne, generateApiKey, revokeApiKey } from '../src/core/index.ts';
import * as rest from './support/ecgrid.ts';
import { addKeyHolder, allDoors, caller, open, sessionKinds } from './support/four-doors.ts';
import { logouts } from './support/logouts.ts';
import { commandLists, tries } from './support/seeds.ts';
import { engines, startTestServer, type TestServer } from './support/server.ts';
import {
  absoluteSeconds,
  check,
  checkUser,
  credentialOf,
  endSessions,
  expectDone,
  expectedOf,
  graceSeconds,
  isBearer,
  type Model,
  type ModelSession,
  type ModelUser,
  newSession,
  replaceKey,
  tokenSeconds,
} from './support/session-model.ts';
import { call, resultOf, soapLogin } from './support/soap.ts';
import { setUserStatus } from './support/users.ts';

const { admin } = demoUsers;
/** Nearer to the limits than chance would come. */
const pauses = [1, 9, 10, 11, 59, 60, 61, 839, 840, 899, 900, 901, 3_539, 3_540, 3_599, 3_600, 3_601, 43_199, 43_200];
let phrases = 0;

type Act = (model: Model, server: TestServer, choice: number) => Promise<void>;

/** Mostly a session of which the question is not settled yet. */
function pick(
  model: Model,
  choice: number,
  isWanted: (one: ModelSession) => boolean = () => true,
): ModelSession | undefined {
  const wanted = model.sessions.filter(isWanted);
  const some = wanted.filter((one) => expectedOf(model, one) !== 'dead');
  const from = some.length > 0 && choice % 8 > 0 ? some : wanted;
  return from[choice % from.length];
}

const userOf = (model: Model, choice: number) => model.users[choice % model.users.length] as ModelUser;
const rootHeaders = async (server: TestServer) => rest.bearer((await rest.login(server, admin)).token);

const logIn: Act = async (model, server, choice) => {
  const user = userOf(model, choice);
  const kind = sessionKinds[(choice >> 1) % sessionKinds.length] ?? 'REST token';
  if (!user.active || (kind === 'web token by key' && user.key === null)) return;
  const { id, login, password, key } = user;
  const secret = await open(server, { id, login, password, ...(key !== null && { key }) }, kind);
  model.sessions.push(newSession(model, user, kind, secret));
};

const checkOne: Act = async (model, server, choice) => {
  const session = pick(model, choice);
  if (session !== undefined) await check(model, server, session);
};

const checkOwner: Act = (model, server, choice) => checkUser(server, userOf(model, choice));

const askRefresh = (server: TestServer, token: string) =>
  rest.rest(server, 'POST', '/v2/auth/refresh', { body: { token } });

const refresh: Act = async (model, server, choice) => {
  const session = pick(model, choice, ({ kind }) => isBearer(kind));
  if (session === undefined) return;
  const live = await check(model, server, session);
  const answer = await askRefresh(server, session.secret);
  if (!live) return rest.expectBadBearer(answer);
  expectDone(answer);
  session.previous = session.secret;
  session.previousEnd = session.tokenEnd;
  session.secret = (answer.body.data as { token: string }).token;
  session.rotatedAt = model.now;
  session.usedAt = model.now;
  session.tokenEnd = Math.min(model.now + tokenSeconds, session.openedAt + absoluteSeconds);
};

/** The token before the live one: the same successor within the grace, the end of the session after it. */
const refreshAgain: Act = async (model, server, choice) => {
  const session = pick(model, choice, ({ previous }) => previous !== undefined);
  if (session?.previous === undefined) return;
  const live = await check(model, server, session);
  const answer = await askRefresh(server, session.previous);
  if (live && model.now - session.rotatedAt <= graceSeconds) {
    expect((answer.body.data as { token: string }).token).toBe(session.secret);
    return;
  }
  rest.expectBadBearer(answer);
  // A token past its own end is no proof of theft, only a token past its end.
  if (model.now < session.previousEnd) session.ended = true;
  await check(model, server, session);
};

const logOut: Act = async (model, server, choice) => {
  const session = pick(model, choice);
  if (session === undefined) return;
  const live = await check(model, server, session);
  const answer = await logouts[session.kind](server, session.secret);
  if (session.kind === 'SessionID') expect(resultOf(answer, 'Logout')).toBe(String(live));
  else expect(answer.status).toBe(live ? 200 : 401);
  session.ended = true;
  await check(model, server, session);
};

const endOneAtTheMachine: Act = async (model, server, choice) => {
  const session = pick(model, choice);
  if (session === undefined || !(await check(model, server, session))) return;
  const context = await authenticate(server.core, credentialOf(session));
  expect(await endOne(server.core, context.session?.id ?? '', { actorId: null, caller })).toBe(true);
  session.ended = true;
  await check(model, server, session);
};

const endAllOf: Act = async (model, server, choice) => {
  const user = userOf(model, choice);
  const ways = [
    () => endAll(server.core, 'system', user.id, caller),
    async () =>
      expectDone(await rest.rest(server, 'POST', `/v2/users/reset/${user.id}`, { headers: await rootHeaders(server) })),
    async () =>
      expectDone(await call(server, 'UserReset', { SessionID: await soapLogin(server, admin), UserID: user.id })),
  ];
  await ways[(choice >> 1) % ways.length]?.();
  endSessions(model, user);
};

const disable: Act = async (model, server, choice) => {
  const user = userOf(model, choice);
  await setUserStatus(server, user.id, user.active ? 'Suspended' : 'Active');
  user.active = !user.active;
  endSessions(model, user);
};

function newPassword(user: ModelUser): string {
  phrases += 1;
  user.deadPasswords.push(user.password);
  user.password = `herons on a pond ${phrases}`;
  return user.password;
}

const changePassword: Act = async (model, server, choice) => {
  const session = pick(model, choice, ({ kind }) => isBearer(kind) || kind === 'SessionID');
  if (session === undefined || !(await check(model, server, session))) return;
  const { user, secret, kind } = session;
  const [old, next] = [user.password, newPassword(user)];
  if (kind === 'SessionID') {
    expectDone(await call(server, 'ChangePassword', { SessionID: secret, OldPassword: old, NewPassword: next }));
  } else {
    const body = { currentPassword: old, newPassword: next };
    expectDone(await rest.rest(server, 'PUT', '/v2/auth/password', { headers: rest.bearer(secret), body }));
  }
  endSessions(model, user, session);
};

const setPasswordByAdmin: Act = async (model, server, choice) => {
  const user = userOf(model, choice);
  const body = { userId: user.id, newPassword: newPassword(user) };
  expectDone(await rest.rest(server, 'POST', '/v2/users/password', { headers: await rootHeaders(server), body }));
  endSessions(model, user);
};

const makeKey: Act = async (model, server, choice) => {
  const session = pick(model, choice, ({ kind }) => isBearer(kind) || kind === 'SessionID');
  const live = session !== undefined && choice % 3 > 0 && (await check(model, server, session));
  const user = live ? session.user : userOf(model, choice);
  if (!live) return replaceKey(model, user, await generateApiKey(server.core, 'system', user.id, caller));
  if (session.kind === 'SessionID') {
    const answer = await call(server, 'GenerateAPIKey', { SessionID: session.secret, UserID: 0 });
    return replaceKey(model, user, resultOf(answer, 'GenerateAPIKey'));
  }
  const answer = await rest.rest(server, 'POST', `/v2/users/key-generate/${user.id}`, {
    headers: rest.bearer(session.secret),
  });
  expectDone(answer);
  replaceKey(model, user, answer.body.data as string);
};

const revokeKey: Act = async (model, server, choice) => {
  const user = userOf(model, choice);
  expect(await revokeApiKey(server.core, 'system', user.id, caller)).toBe(user.key !== null);
  replaceKey(model, user, null);
};

const moveClock: Act = async (model, server, choice) => {
  const seconds = pauses[choice % pauses.length] ?? 1;
  model.now += seconds;
  server.clock.advance(seconds);
};

/** What is named twice comes twice as often. */
const acts: Readonly<Record<string, Act>> = {
  logIn,
  checkOne,
  checkOwner,
  refresh,
  refreshAgain,
  logOut,
  endOneAtTheMachine,
  endAllOf,
  disable,
  changePassword,
  setPasswordByAdmin,
  makeKey,
  revokeKey,
  moveClock,
};
const often = [
  'logIn',
  'logIn',
  'logIn',
  'checkOne',
  'refresh',
  'refreshAgain',
  'changePassword',
  'makeKey',
  'moveClock',
  'moveClock',
];

const commands = [...Object.keys(acts), ...often].map((name) =>
  fc.nat(1_023).map(
    (choice): fc.AsyncCommand<Model, TestServer> => ({
      check: () => true,
      run: (model, server) => (acts[name] as Act)(model, server, choice),
      toString: () => `${name}(${choice})`,
    }),
  ),
);

describe.each(engines.map((engine) => [engine]))('the life of sessions at all doors on %s', (engine) => {
  let server: TestServer;
  let runs = 0;
  beforeAll(async () => {
    server = await startTestServer({
      engine,
      settings: { ...allDoors, CARDEA_LIMITS_CHECKS_PER_SECOND: '1000000', CARDEA_SESSION_MAX_PER_USER: '10000' },
    });
  }, 30_000);
  afterAll(() => server.close());

  async function newUser(): Promise<ModelUser> {
    runs += 1;
    const { id, login, password, key = null } = await addKeyHolder(server, `life-${runs}`);
    return { id, login, password, key, active: true, deadPasswords: [], deadKeys: [] };
  }

  test('SES-04, SES-05, SES-06, SES-09, TOK-05, I2–I5: whatever is done in whatever order, every door answers as the model', async () => {
    const run = async (list: Iterable<fc.AsyncCommand<Model, TestServer>>): Promise<void> => {
      const model: Model = { now: server.clock.nowMs / 1_000, users: [await newUser(), await newUser()], sessions: [] };
      await fc.asyncModelRun(() => ({ model, real: server }), list);
      for (const session of model.sessions) await check(model, server, session);
      for (const user of model.users) await checkUser(server, user);
    };
    const settings = tries(engine === 'sqlite' ? 10 : 5);
    await fc.assert(fc.asyncProperty(fc.commands(commands, commandLists(60)), run), settings);
  }, 120_000);
});
