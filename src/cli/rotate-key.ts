import { createInterface } from 'node:readline/promises';
import type { Config } from '../config.ts';
import { type Core, endEverySession, nowSeconds, readLastTokenEnd, recordKeyRotation } from '../core/index.ts';
import { prepareNextKey, promoteNextKey, replaceAllKeys, seenWithinMs } from '../signing-keys.ts';
import { isLocked } from '../store/lock.ts';
import { printInstant, printJson, printLine } from './output.ts';
import { localCaller, UsageError, withCore } from './with-core.ts';

type RotateFlags = { readonly emergency?: boolean; readonly yes?: boolean; readonly json?: boolean };

/** What a rotation came to. `formerUntil` is the second from which on the former key counts no more; null at once. */
type Rotated = { readonly current: string; readonly formerUntil: number | null };

/** `cardea key rotate`: says that it is done only when no running server answers by the former state. */
export async function rotateSigningKey(flags: RotateFlags): Promise<void> {
  const emergency = flags.emergency === true;
  if (emergency && flags.yes !== true) await confirm();
  const { current, formerUntil } = await withCore(emergency ? rotateInEmergency : rotateAsPlanned);
  if (flags.json === true) return printJson({ current, formerUntil, emergency });
  printLine(`Key ${current} signs from now on.`);
  if (formerUntil === null) printLine('The former keys count no more, and every session of every user has ended.');
  else printLine(`Tokens of the former key count until they expire, at the latest ${printInstant(formerUntil)}.`);
}

async function confirm(): Promise<void> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const closed = new Promise<string>((resolve) => terminal.once('close', () => resolve('')));
  const question = 'This ends every session of every user. Type "yes" to go on: ';
  const answer = await Promise.race([terminal.question(question), closed]);
  terminal.close();
  if (answer.trim() !== 'yes') throw new UsageError('Nothing was changed.');
}

async function rotateAsPlanned(core: Core, config: Config): Promise<Rotated> {
  const keyId = await prepareNextKey(config.data, nowSeconds(core));
  // Instances that share the directory exchange their keys at different moments: all must know the new one before any signs with it.
  if (core.store.engine === 'postgres') await Bun.sleep(seenWithinMs);
  await recordKeyRotation(core, keyId, localCaller());
  const formerUntil = await readLastTokenEnd(core);
  const { current } = await promoteNextKey(config.data, nowSeconds(core), formerUntil);
  await untilSeen(core, config);
  return { current: current.id, formerUntil };
}

/** The key first: should the store fail then, whoever has the former one can at least forge nothing with it. */
async function rotateInEmergency(core: Core, config: Config): Promise<Rotated> {
  const { current } = await replaceAllKeys(config.data);
  try {
    const ending = { event: 'signing_key.replaced', detail: { key: current.id } } as const;
    await endEverySession(core, ending, localCaller());
  } catch (cause) {
    throw new Error('The former keys count no more, but the sessions could not be ended; repeat the command.', {
      cause,
    });
  }
  await untilSeen(core, config);
  return { current: current.id, formerUntil: null };
}

/** Beside SQLite one server at most runs, and its lock tells; of instances on PostgreSQL nobody knows here. */
async function untilSeen({ store }: Core, { data }: Config): Promise<void> {
  if (store.engine === 'postgres' || isLocked(data)) await Bun.sleep(seenWithinMs);
}
