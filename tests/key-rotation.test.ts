import { describe, expect, test } from 'bun:test';
import { expectBadBearer, session } from './support/ecgrid.ts';
import {
  addKeyHolder,
  allDoors,
  expectEverywhere,
  kinds,
  open,
  openAll,
  sessionKinds,
  type Who,
} from './support/four-doors.ts';
import { makeToken, readClaims, readSigningKey } from './support/jwt.ts';
import { runProgram } from './support/program.ts';
import { engines, startTestServer, type TestServer } from './support/server.ts';
import { bearer } from './support/user-session.ts';

/** The command line beside the server, on the same directory and database. */
async function rotate(server: TestServer, ...flags: string[]): Promise<void> {
  const env = { CARDEA_DATA: server.directory, CARDEA_DATABASE_URL: server.config.databaseUrl };
  const { code, errors } = await runProgram(['key', 'rotate', ...flags], { env });
  expect({ code, errors }).toEqual({ code: 0, errors: '' });
}

async function auditEventsOf({ core }: TestServer): Promise<string[]> {
  const rows = await core.store.lists.selectFrom('audit_events').select(['event', 'actor_user_id']).execute();
  return rows.filter(({ actor_user_id }) => actor_user_id === null).map(({ event }) => event);
}

async function openServer(engine: (typeof engines)[number]): Promise<{ server: TestServer; who: Who }> {
  const server = await startTestServer({ engine, settings: allDoors });
  return { server, who: await addKeyHolder(server, 'rita') };
}

describe.each(engines.map((engine) => [engine]))('TOK-07: a rotation on %s', (engine) => {
  test('as planned ends nothing at any door, and is written down once', async () => {
    const { server, who } = await openServer(engine);
    try {
      const secrets = await openAll(server, who);
      const before = server.core.keys.current.id;
      await rotate(server);
      expect(server.core.keys.current.id).not.toBe(before);
      for (const kind of kinds) await expectEverywhere(server, kind, secrets[kind], 'let in');
      for (const kind of kinds) await expectEverywhere(server, kind, await open(server, who, kind), 'let in');
      const events = await auditEventsOf(server);
      expect(events.filter((event) => event.startsWith('signing_key.'))).toEqual(['signing_key.rotated']);
    } finally {
      await server.close();
    }
  }, 60_000);

  test('in an emergency ends every session at every door, and the former key signs in nobody', async () => {
    const { server, who } = await openServer(engine);
    try {
      const secrets = await openAll(server, who);
      const stolen = readSigningKey(server);
      await rotate(server);
      const alsoStolen = readSigningKey(server);
      await rotate(server, '--emergency', '--yes');
      for (const kind of sessionKinds) await expectEverywhere(server, kind, secrets[kind], 'refused');
      // Keys and passwords are no sessions, and no signature is on them.
      for (const kind of ['API key', 'password'] as const) {
        await expectEverywhere(server, kind, secrets[kind], 'let in');
      }
      // Whoever has the former keys, and learns all there is to know of a session that lives, still gets nowhere.
      const live = await open(server, who, 'REST token');
      expect((await session(server, bearer(live))).status).toBe(200);
      for (const key of [stolen, alsoStolen]) {
        expectBadBearer(await session(server, bearer(await makeToken(key, readClaims(live)))));
      }
      expect((await session(server, bearer(await makeToken(readSigningKey(server), readClaims(live))))).status).toBe(
        200,
      );
      const events = await auditEventsOf(server);
      expect(events.filter((event) => event === 'signing_key.replaced')).toHaveLength(1);
    } finally {
      await server.close();
    }
  }, 60_000);
});
