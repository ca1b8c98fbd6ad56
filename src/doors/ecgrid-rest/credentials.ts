import {
  authenticate,
  type CallerFacts,
  type Core,
  CoreError,
  type SessionContext,
  withinLimits,
} from '../../core/index.ts';
import { after, type Soon } from '../../soon.ts';

/** The credential headers of a request. */
export type Presented = { readonly authorization: string | null; readonly key: string | null };

/** The text behind `Bearer `, whatever the scheme's letter case; null for any other scheme or shape. */
export function readBearer(authorization: string | null): string | null {
  return authorization?.match(/^bearer ([^\s]+)$/i)?.[1] ?? null;
}

/**
 * Judges the credentials of a request by the table of the contract, 5.1: a bad one is never made good by another, and with both
 * good the session counts.
 * @throws CoreError `credential_missing`, `api_key_invalid`, `session_invalid`, `credentials_differ`, `throttled`
 */
export function requireContext(core: Core, presented: Presented, caller: CallerFacts): Soon<SessionContext> {
  return withinLimits(core, caller, () => judge(core, presented));
}

function judge(core: Core, { key, authorization }: Presented): Soon<SessionContext> {
  if (key === null) {
    if (authorization === null) throw new CoreError('credential_missing');
    return judgeBearer(core, authorization);
  }
  return after(authenticate(core, { kind: 'api_key', key }), (byKey) =>
    authorization === null ? byKey : after(judgeBearer(core, authorization), (bySession) => agree(byKey, bySession)),
  );
}

function agree(byKey: SessionContext, bySession: SessionContext): SessionContext {
  if (byKey.user.id !== bySession.user.id) throw new CoreError('credentials_differ');
  return bySession;
}

function judgeBearer(core: Core, authorization: string): Soon<SessionContext> {
  const token = readBearer(authorization);
  if (token === null) throw new CoreError('session_invalid');
  return authenticate(core, { kind: 'bearer', token });
}
