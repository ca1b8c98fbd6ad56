import { randomBytes } from 'node:crypto';
import { openCore } from '../open-core.ts';
import { loadConfig } from '../config.ts';
import { type CallerFacts, type Core, listUsers, type UserFacts } from '../core/index.ts';
import { createLog } from '../log.ts';

/** A mistake of the person at the command line: its message is all there is to say. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A server on the same file looks for changes of other processes every 50 ms: after this its next answer knows of them. */
const noticedMs = 200;

/** `withCore` for work that changes something: it returns when a running server can no longer answer from before. */
export async function changeWithCore<T>(work: (core: Core) => Promise<T>): Promise<T> {
  return withCore(async (core) => {
    const result = await work(core);
    if (core.store.foreignChanges !== null) await Bun.sleep(noticedMs);
    return result;
  });
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

/** A user named by login or id, the login first. @throws UsageError when there is none */
export async function requireUser(core: Core, loginOrId: string): Promise<UserFacts> {
  const [byLogin] = await listUsers(core, 'system', { login: loginOrId, page: 1, perPage: 1 });
  const user = byLogin ?? (/^\d{1,9}$/.test(loginOrId) ? await findById(core, Number(loginOrId)) : undefined);
  if (user === undefined)
    throw new UsageError(`There is no user ${JSON.stringify(loginOrId)}; "cardea user list" shows them.`);
  return user;
}

async function findById(core: Core, id: number): Promise<UserFacts | undefined> {
  return (await listUsers(core, 'system', { id, page: 1, perPage: 1 }))[0];
}
