import { randomBytes } from 'node:crypto';
import { openCore } from '../app.ts';
import { loadConfig } from '../config.ts';
import { type CallerFacts, type Core, listUsers, type UserFacts } from '../core/index.ts';
import { createLog } from '../log.ts';

/** A mistake of the person at the command line: its message is all there is to say. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Opens the configured store beside a running server or without one, does the work, and closes it again. */
export async function withCore<T>(work: (core: Core) => Promise<T>): Promise<T> {
  const config = loadConfig(process.env);
  const log = createLog('error', writeToStderr);
  const { core, close } = await openCore({ config, log, create: false, hashWorkers: 1 });
  try {
    return await work(core);
  } finally {
    await close();
  }
}

/** Standard output is for the result alone. */
async function writeToStderr(text: string): Promise<void> {
  process.stderr.write(text);
}

/** How the audit names whoever works at the machine itself. */
export function localCaller(): CallerFacts {
  return { address: 'local', userAgent: 'cardea command line', requestId: randomBytes(8).toString('hex') };
}

/** A user named by id or login. @throws UsageError when there is none */
export async function requireUser(core: Core, nameOrId: string): Promise<UserFacts> {
  const user = /^\d+$/.test(nameOrId) ? await findById(core, Number(nameOrId)) : undefined;
  const found = user ?? (await listUsers(core, 'system', { login: nameOrId, page: 1, perPage: 1 }))[0];
  if (found === undefined)
    throw new UsageError(`There is no user ${JSON.stringify(nameOrId)}; "cardea user list" shows them.`);
  return found;
}

async function findById(core: Core, id: number): Promise<UserFacts | undefined> {
  const users = await listUsers(core, 'system', { id, page: 1, perPage: 1 });
  return users[0];
}
