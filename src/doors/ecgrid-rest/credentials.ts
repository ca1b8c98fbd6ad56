import {
  authenticate,
  type CallerFacts,
  type Core,
  CoreError,
  type SessionContext,
  withinLimits,
} from '../../core/index.ts';

/** The text behind `Bearer `, whatever the scheme's letter case; null for any other scheme or shape. */
export function readBearer(authorization: string | null): string | null {
  return authorization?.match(/^bearer ([^\s]+)$/i)?.[1] ?? null;
}

/**
 * Judges the credentials of a request by the table of the contract, 5.1: a bad one is never made good by another, and with both
 * good the session counts.
 * @throws CoreError `credential_missing`, `api_key_invalid`, `session_invalid`, `credentials_differ`, `throttled`
 */
export function requireContext(core: Core, request: Request, caller: CallerFacts): Promise<SessionContext> {
  const { headers } = request;
  return withinLimits(core, caller, () => judge(core, headers.get('x-api-key'), headers.get('authorization')));
}

async function judge(core: Core, key: string | null, authorization: string | null): Promise<SessionContext> {
  if (key === null && authorization === null) throw new CoreError('credential_missing');
  const byKey = key === null ? null : await authenticate(core, { kind: 'api_key', key });
  const bySession = authorization === null ? null : await judgeBearer(core, authorization);
  if (byKey !== null && bySession !== null && byKey.user.id !== bySession.user.id) {
    throw new CoreError('credentials_differ');
  }
  return (bySession ?? byKey) as SessionContext;
}

function judgeBearer(core: Core, authorization: string): Promise<SessionContext> {
  const token = readBearer(authorization);
  if (token === null) throw new CoreError('session_invalid');
  return authenticate(core, { kind: 'bearer', token });
}
