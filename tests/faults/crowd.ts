import { type StoredSessions, writeStoredSessions } from '../../bench/cardea/stored-sessions.ts';
import { type BenchUser, describeUsers, writeUsers } from '../../bench/cardea/users.ts';
import { loadConfig } from '../../src/config.ts';
import { fillGround, type Ground } from '../support/program.ts';
import { openWire, type Wire } from './soak/wire.ts';

/** A place filled with users who can sign in, and with sessions that lie in the store. */
export type Crowd = StoredSessions & { readonly users: readonly BenchUser[] };

export type CrowdOptions = {
  readonly users?: number;
  readonly sessions: number;
  /** Life of the stored tokens from now on; 12 hours unless given. */
  readonly tokenSeconds?: number;
};

/** Fills an empty place. The rows of the sessions are written past the core: through it a million would take hours. */
export async function fillWithCrowd(
  ground: Ground,
  { users = 1, sessions, tokenSeconds }: CrowdOptions,
): Promise<Crowd> {
  const url = ground.env['CARDEA_DATABASE_URL'] ?? '';
  const database = url === '' ? undefined : { url };
  const people = describeUsers(users);
  const filled = Promise.withResolvers<StoredSessions>();
  await fillGround(ground, async (core) => {
    await writeUsers(core, people);
    const config = loadConfig(ground.env);
    filled.resolve(await writeStoredSessions(core, config, sessions, database, () => undefined, tokenSeconds));
  });
  return { ...(await filled.promise), users: people };
}

/** Asks about each of `count` things once, over so many connections, each of which takes the next when it is answered. */
export async function askAll(
  url: string,
  connections: number,
  count: number,
  ask: (wire: Wire, index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const run = async () => {
    const wire = openWire(Number(new URL(url).port));
    for (let index = next++; index < count; index = next++) await ask(wire, index);
    wire.close();
  };
  await Promise.all(Array.from({ length: connections }, run));
}
