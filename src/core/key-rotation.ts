import * as store from '../store/sessions.ts';
import { record } from './audit.ts';
import { change } from './change.ts';
import type { CallerFacts } from './context.ts';
import { type Core, nowSeconds } from './core.ts';

/** For tokens that are signed while a rotation is on its way to the servers, and for their clocks. */
const marginSeconds = 60;

/**
 * When the last token expires that is signed up to now, in seconds: so long a key that signs no more must still verify. Longer than the
 * present settings allow, when they allowed more at a login of before.
 */
export async function readLastTokenEnd(core: Core): Promise<number> {
  const stored = await store.readLastTokenEnd(core.store.lists);
  return Math.max(stored, nowSeconds(core) + core.policy.absoluteSeconds) + marginSeconds;
}

/** Writes down that the key of this id signs from now on. */
export async function recordKeyRotation(core: Core, keyId: string, caller: CallerFacts): Promise<void> {
  const facts = { actorId: null, caller, detail: { key: keyId } };
  await change(core, (trx) => record(trx, core, 'signing_key.rotated', facts), 'nobody');
}
