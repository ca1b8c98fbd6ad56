import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  callerFrom,
  isLive,
  openTestCore,
  restPolicy,
  signIn,
  type TestCore,
  webPolicy,
} from '../../tests/support/core.ts';
import { addUser } from '../../tests/support/users.ts';
import { type Core, endAll, endOne, refreshSession, setPassword, setStatus } from './index.ts';
import { endEverySession } from './restoration.ts';

const caller = callerFrom();
const refreshPolicy = { tokenSeconds: 3600, graceSeconds: 0 };

type End = (
  at: Core,
  facts: { readonly id: string; readonly token: string; readonly userId: number },
) => Promise<unknown>;

const ends: [name: string, end: End][] = [
  ['its own end', (at, { id }) => endOne(at, id, { actorId: null, caller })],
  ['"end all"', (at, { userId }) => endAll(at, 'system', userId, caller)],
  ['a refresh, for the token before it', (at, { token }) => refreshSession(at, token, refreshPolicy, caller)],
  ['suspension', (at, { userId }) => setStatus(at, 'system', userId, 'Suspended', caller)],
  ['a new password', (at, { userId }) => setPassword(at, 'system', userId, 'quite another phrase', caller)],
  [
    'the end of every session',
    (at) => endEverySession(at, { event: 'signing_key.replaced', detail: { key: 'test' } }, caller),
  ],
];

// Of servers on one SQLite file the second is refused.
describe('P1, F19: two instances on one PostgreSQL', () => {
  let first: TestCore;
  let second: Core;
  beforeAll(async () => {
    first = await openTestCore({ engine: 'postgres' });
    second = await first.openAnother();
    // Instances share one file of keys, or copies of it.
    second.keys.replace(first.core.keys);
  }, 30_000);
  afterAll(() => first.close());

  test.each(ends)(
    'what one answered live ten times is dead at it as soon as the other has acknowledged %s',
    async (_, end) => {
      for (let round = 0; round < 10; round += 1) {
        const login = `u${Math.random().toString(36).slice(2)}`;
        const userId = await addUser(first, { login });
        const policy = round % 2 === 0 ? restPolicy : webPolicy;
        const [here, there] = round % 4 < 2 ? [first.core, second] : [second, first.core];
        const { credential, context } = await signIn(here, login, { policy });
        for (let count = 0; count < 5; count += 1) {
          expect([await isLive(here, credential), await isLive(there, credential)]).toEqual([true, true]);
        }
        await end(here, { id: context.session?.id ?? '', token: credential, userId });
        expect([await isLive(there, credential), await isLive(here, credential)]).toEqual([false, false]);
      }
    },
  );
});
